"""`NAME.test.yaml`: the cases of a workflow's test file, checked, every fault with its position."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tributary_daemon.model.control import UNDO_PREFIX
from tributary_daemon.spec import codes
from tributary_daemon.spec.composer import compose
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Place, Sequence, to_json
from tributary_daemon.spec.nodes import kind as kind_of
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.sources import Unreadable, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tributary_daemon.spec.workflow import WorkflowSpec

SUFFIX: Final = ".test.yaml"
MOCKED_WHOLE: Final = frozenset({"workflow", "wait", "approve"})
"""Actions whose steps have no body, and are mocked by what comes of them."""
_WANTED: Final = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
}
"""Faults of the kind of a value, as pydantic names them -> what is due."""
_ITEM: Final = re.compile(r"(?s)([^\[\]]+)\[(.+)\]")
_STATES: Final = ("completed", "failed", "cancelled")
_STEP_STATES: Final = ("completed", "skipped", "cancelled", "discarded")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    def gives(self, key: str) -> bool:
        """Whether the file says something about ``key``: null is not the same as nothing."""
        return key in self.model_fields_set


class Fault(_Strict):
    """The error that a mock raises.

    Attributes:
        type: class name: of a built-in exception, ``Abort``, ``HandlerTimeout``, or any other.
        message: its text.
        exit_code: makes it the failure of a shell step.
    """

    type: str = Field(default="RuntimeError", pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")
    message: str = "failed on purpose"
    exit_code: int | None = None


class Turn(_Strict):
    """What one attempt comes to.

    Attributes:
        result: what it returns.
        error: what it raises instead.
    """

    result: Any = None
    error: Fault | None = None

    @model_validator(mode="after")
    def _fits(self) -> Turn:
        if (self.error is not None) == self.gives("result"):
            raise ValueError("each attempt in results has either a result or an error")
        return self


class Mock(_Strict):
    """What stands in for the body of a step, or for a whole sub-workflow.

    Attributes:
        result: what it returns.
        error: what it raises instead.
        times: how many attempts, counted from the first, raise it; the next ones return ``result``.
        results: instead of all that, what each attempt comes to; the last one counts for all after it.
    """

    result: Any = None
    error: Fault | None = None
    times: int | None = Field(default=None, ge=1)
    results: list[Turn] | None = Field(default=None, min_length=1)

    def turn(self, attempt: int) -> Turn | Mock:
        """Return what holds the result or the error of an attempt, counted from 1."""
        if self.results is not None:
            return self.results[min(attempt, len(self.results)) - 1]
        if self.times is not None and attempt > self.times:
            return Turn(result=self.result)
        return self

    @model_validator(mode="after")
    def _fits(self) -> Mock:
        if self.results is not None:
            if len(self.model_fields_set) > 1:
                raise ValueError("results says it all: leave out result, error and times")
            return self
        if self.error is None and not self.gives("result"):
            raise ValueError("a mock needs a result or an error")
        if self.times is not None and self.error is None:
            raise ValueError("times counts the attempts that raise an error, but there is none")
        if self.error is not None and self.gives("result") and self.times is None:
            raise ValueError("a mock with an error and a result needs times: how often it fails first")
        return self


class Default(_Strict):
    """What every step without a mock returns."""

    result: Any


class ExpectedStep(_Strict):
    """What a step is to have come to; what is not written is not looked at.

    Attributes:
        state: as shown by ``status``.
        result: the whole of it.
        attempt: number of its last attempt.
        reason: of a skip or discard; of an error, if the step has none of its own.
        with_: the input that its body got last.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    state: str | None = Field(default=None, pattern=f"^({'|'.join(_STEP_STATES)})$")
    result: Any = None
    attempt: int | None = None
    reason: str | None = None
    with_: Any = Field(default=None, alias="with")


class Expected(_Strict):
    """What a run is to have come to; without a state it has to complete."""

    state: str = Field(default="completed", pattern=f"^({'|'.join(_STATES)})$")
    result: Any = None
    warnings: int | None = None
    steps: dict[str, ExpectedStep] = {}


class Case(_Strict):
    """One run of the workflow, with mocks for its steps.

    Attributes:
        name: unique in the file.
        description: for people.
        inputs: of the run.
        mocks: by step, item (``STEP[KEY]``) or handler; the nearest counts.
        default: for steps without a mock.
        expect: what it has to come to.
    """

    name: str = Field(min_length=1)
    description: str | None = None
    inputs: dict[str, Any] = {}
    mocks: dict[str, Mock] = {}
    default: Default | None = None
    expect: Expected = Expected()


class _File(_Strict):
    cases: list[Case] = Field(min_length=1)


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return workflow file and test file, whichever of both ``path`` is."""
    if is_test(path.name):
        stem = path.name.removesuffix(SUFFIX)
        return path.with_name(f"{stem}.yaml"), path
    return path, path.with_name(f"{path.name.removesuffix(path.suffix)}{SUFFIX}")


def is_test(file: str) -> bool:
    """Whether a file is by its name one of cases."""
    return file.endswith(SUFFIX)


def split(key: str) -> tuple[str, str | None]:
    """Return the step and the item of ``STEP[KEY]``; None for the item of a plain step."""
    found = _ITEM.fullmatch(key)
    return (found[1], found[2]) if found else (key, None)


class Body(NamedTuple):
    """A handler that a step calls; ``own`` unless it is that of ``aggregate`` or ``undo``."""

    step: str
    name: str
    own: bool


def bodies_of(spec: WorkflowSpec) -> Iterator[Body]:
    """Yield everything that a run of the workflow, or of those that came with it, may call."""
    for step in spec.steps:
        if step.action in {"task", "run"}:
            yield Body(step.id, step.name, own=True)
        for more in (step.aggregate, step.undo):
            if more is not None:
                yield Body(step.id, more["name"], own=False)
    for child in spec.children.values():
        yield from bodies_of(child)


def read_cases(path: Path, spec: WorkflowSpec) -> list[Case]:
    """Read a test file and check it against its workflow.

    Raises:
        InvalidWorkflow: it cannot be read, or is wrong; it holds every fault.
    """
    try:
        text = read_source(path)
    except Unreadable as error:
        hint = f"{error.hint}; the cases of a workflow stand beside it, in NAME{SUFFIX}"
        raise Unreadable(error.message, hint).of(str(path)) from None
    return check_cases(text, str(path), spec)


def check_cases(text: str, file: str, spec: WorkflowSpec) -> list[Case]:
    """Check the text of a test file; see `read_cases`."""
    problems = Problems(file, text)
    documents = compose(text, problems)
    if not documents and not problems.failed:
        problems.error(codes.EMPTY, "the file holds no cases", "", hint="write `cases:` and a list below")
    for further in documents[1:]:
        at = Place(further.line, 0, further.line, len(problems.line(further.line)))
        problems.error(codes.UNUSED_DOCUMENT, "a test file is one document, this is a further one", at,
                       hint="write its cases into the list of the first one")  # fmt: skip
    cases: list[Case] = []
    if documents and not problems.failed:
        root = documents[0].root
        try:
            cases = _File.model_validate(to_json(root)).cases
        except ValidationError as error:
            for found in error.errors(include_url=False):
                _refuse(found, root, problems)
        else:
            _names(cases, root, spec, problems)
    problems.finish(strict=False)
    return cases


def _refuse(found: Any, root: Node, problems: Problems) -> None:
    loc, kind = list(found["loc"]), found["type"]
    shown = loc[-1] if loc and isinstance(loc[-1], str) else "the file"
    if kind == "extra_forbidden":
        known = _keys(loc[:-1])
        problems.error(codes.UNKNOWN_KEY, f"unknown key {shown!r}", _at(root, loc, key=True),
                       hint=suggest(str(shown), known, what="allowed"))  # fmt: skip
    elif kind == "missing":
        problems.error(codes.MISSING_KEY, f"the key {shown!r} is missing", _at(root, loc[:-1]))
    elif kind == "value_error":
        problems.error(codes.BAD_VALUE, str(found["ctx"]["error"]), _at(root, loc))
    elif kind == "string_pattern_mismatch" and shown == "state":
        states = _STEP_STATES if "steps" in loc else _STATES
        problems.error(codes.BAD_VALUE, f"{found['input']!r} is no state to end in", _at(root, loc),
                       hint=suggest(found["input"], states))  # fmt: skip
    elif kind in _WANTED:
        at = _at(root, loc)
        problems.error(codes.WRONG_TYPE, f"{_named(loc)} must be {_WANTED[kind]}, not {kind_of(at)}", at)
    else:
        problems.error(codes.WRONG_TYPE, f"{shown}: {found['msg'].lower()}", _at(root, loc))


def _named(loc: list[Any]) -> str:
    if not loc:
        return "the file"
    return f"`{loc[-1]}`" if isinstance(loc[-1], str) else f"`{loc[-2]}[{loc[-1]}]`"


def _keys(loc: list[Any]) -> list[str]:
    model: type[BaseModel] = _File
    # the path tells the model: words of the format at even depths, names of users in between
    words = [part for part in loc if isinstance(part, str)]
    match words:
        case []:
            pass
        case ["cases"]:
            model = Case
        case ["cases", "mocks", _]:
            model = Mock
        case ["cases", "mocks", _, "results"]:
            model = Turn
        case ["cases", "mocks", _, "error"] | ["cases", "mocks", _, "results", "error"]:
            model = Fault
        case ["cases", "default"]:
            model = Default
        case ["cases", "expect"]:
            model = Expected
        case _:
            model = ExpectedStep
    return [field.alias or name for name, field in model.model_fields.items()]


def _at(node: Node, loc: list[Any], *, key: bool = False) -> Node:
    """Return the node at a path, or the deepest one on the way to it."""
    for number, part in enumerate(loc):
        if isinstance(node, Mapping) and part in node.pairs:
            written, value = node.pairs[part]
            node = written if key and number == len(loc) - 1 else value
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
    return node


def _names(cases: list[Case], root: Node, spec: WorkflowSpec, problems: Problems) -> None:
    bodies = dict.fromkeys(word for body in bodies_of(spec) for word in body[:2])
    bodies |= dict.fromkeys(step.id for step in spec.steps if step.action in MOCKED_WHOLE)
    steps = [step.id for step in spec.steps]
    steps += [f"{UNDO_PREFIX}{step.id}" for step in spec.steps if step.undo is not None]
    seen: set[str] = set()
    for number, case in enumerate(cases):
        here: list[Any] = ["cases", number]
        if case.name in seen:
            problems.error(codes.WRITTEN_TWICE, f"two cases are named {case.name!r}",
                           _at(root, [*here, "name"]))  # fmt: skip
        seen.add(case.name)
        for name in case.mocks:
            if split(name)[0] not in bodies:
                problems.error(codes.UNKNOWN_STEP, f"{name!r} in mocks names no step with a body, no handler",
                               _at(root, [*here, "mocks", name], key=True),
                               hint=suggest(name, list(bodies)))  # fmt: skip
        for name in case.expect.steps:
            if split(name)[0] not in steps:
                problems.error(codes.UNKNOWN_STEP, f"unknown step {name!r} in expect",
                               _at(root, [*here, "expect", "steps", name], key=True),
                               hint=suggest(name, steps))  # fmt: skip
