"""Workflows written in Python: the same document, the same checks."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

from tributary_daemon.model.retry import Retry
from tributary_daemon.spec import codes
from tributary_daemon.spec.children import GivenFamily
from tributary_daemon.spec.document import check_document
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.workflow import HOOKS, InputSpec, WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Mapping as AnyMapping
    from collections.abc import Sequence as AnySequence

_MAX_DEPTH: Final = 100
_MAX_NODES: Final = 1_000_000
_BIGGEST: Final = 10**300


class Head(TypedDict, total=False):
    """What a workflow says beside its steps; each means what the key of that name means in YAML.

    Attributes:
        inputs: name -> declaration as in YAML, e.g. ``{"email": {"type": "string"}}``.
        defaults: options of every step that does not set them.
        result: JSON value, may hold expressions.
        description: for people.
        labels: for people and filters.
        secrets: names of secrets.
        env: variables of every shell step.
        timeout: of the whole run.
        max_parallel: steps at once.
        fail_fast: the first failure cancels what is left.
        concurrency: ``{"group", "limit", "on_limit"}``.
        schedule: a cron text, or a list of mappings.
        preconditions: what must hold before a run is accepted.
        keep: ``{"days", "runs"}``.
    """

    inputs: AnyMapping[str, InputSpec | AnyMapping[str, Any]] | None
    defaults: AnyMapping[str, Any] | None
    result: Any
    description: str | None
    labels: AnyMapping[str, str] | None
    secrets: AnySequence[str] | None
    env: AnyMapping[str, str] | None
    timeout: float | str | timedelta | None
    max_parallel: int | None
    fail_fast: bool | None
    concurrency: AnyMapping[str, Any] | None
    schedule: str | AnySequence[Any] | None
    preconditions: str | AnySequence[Any] | None
    keep: AnyMapping[str, int] | None


class Keys(TypedDict, total=False):
    """What a step says beside its action; each means what the key of that name means in YAML.

    Attributes:
        needs: ids of the steps that must have ended before.
        queue: whose workers execute it.
        priority: higher first.
        max_attempts: executions in all.
        timeout: of one attempt; seconds, timedelta or ``"5m"``.
        retry: a policy or its fields.
        run_after: a time with its zone, or a duration after the needs are met.
        continue_on_error: a failure of this step does not fail the run.
        description: for people.
        labels: for people and filters.
        condition: the key ``if``, which is a keyword of Python.
        for_each: a list, or an expression that gives one: the step runs once per item.
        matrix: name -> list: the step runs once per combination.
        key: expression, what an item is known by.
        max_parallel: items at once.
        fail_fast: whether failed items end the others.
        tolerate: how many items may fail, e.g. 3 or ``"10%"``.
        aggregate: ``{"task", "with"}``, makes one result of all.
        cache: ``{"scope", "ttl", "key"}``.
        concurrency: ``{"group", "limit", "on_limit"}``.
        undo: ``{"task", "with"}``.
        hook: ``on_success``, ``on_failure``, ``on_cancel`` or ``finally``, for a step of that hook.
    """

    needs: str | Iterable[str]
    queue: str | None
    priority: int | str | None
    max_attempts: int | str | None
    timeout: float | str | timedelta | None
    retry: Retry | AnyMapping[str, Any] | None
    run_after: float | str | timedelta | datetime | None
    continue_on_error: bool
    description: str | None
    labels: AnyMapping[str, str] | None
    condition: str | bool | None
    for_each: Any
    matrix: AnyMapping[str, Any] | None
    key: str | None
    max_parallel: int | None
    fail_fast: bool | None
    tolerate: int | str | None
    aggregate: AnyMapping[str, Any] | None
    cache: AnyMapping[str, Any] | None
    concurrency: AnyMapping[str, Any] | None
    undo: AnyMapping[str, Any] | None
    hook: str | None


class WorkflowBuilder:
    """Collects steps; ``build`` checks them all at once.

    Args:
        name: dotted, ending in ``.vN``.
        children: workflows that steps run by their names.
        head: what the workflow says beside its steps.
    """

    def __init__(self, name: str, *, children: Iterable[WorkflowSpec] = (), **head: Unpack[Head]) -> None:
        self.name = name
        self._children = tuple(children)
        inputs = head.get("inputs")
        given: dict[str, Any] = {
            **head,
            "inputs": None if inputs is None else {key: _declaration(value) for key, value in inputs.items()},
        }
        self._head = {
            "name": name,
            **{key: _plain(value) for key, value in given.items() if value is not None},
        }
        self._steps: list[tuple[str, str, dict[str, Any]]] = []

    def add(
        self,
        id: str,  # noqa: A002 - the word of the language
        action: str,
        payload: Any = None,
        **keys: Unpack[Keys],
    ) -> Self:
        """Add a step that calls a handler.

        Args:
            id: of the step.
            action: name of the handler.
            payload: its input, any JSON value; texts may hold expressions.
            keys: what the step says beside that.

        Returns:
            The builder itself.
        """
        return self.write(id, {"task": action, **({} if payload is None else {"with": payload})}, **keys)

    def write(
        self,
        id: str,  # noqa: A002 - the word of the language
        step: AnyMapping[str, Any],
        **keys: Unpack[Keys],
    ) -> Self:
        """Add any step in the words of the language, e.g. ``{"run": "echo hello"}`` or ``{"wait": {…}}``.

        Args:
            id: of the step.
            step: its keys as in YAML.
            keys: the same by name, with Python values.

        Returns:
            The builder itself.
        """
        given: dict[str, Any] = dict(keys)
        hook = given.pop("hook", None)
        needs = given.pop("needs", ())
        written = {
            "needs": (needs if isinstance(needs, str) else list(needs)) or None,
            "if": given.pop("condition", None),
            "continue_on_error": given.pop("continue_on_error", False) or None,
            **given,
        }
        plain = {key: _plain(value) for key, value in written.items() if value is not None}
        self._steps.append((hook or "steps", id, {**step, **plain}))
        return self

    def build(self) -> WorkflowSpec:
        """Check everything and return the workflow; its source is the document as JSON.

        Raises:
            InvalidWorkflow: holds every fault; places are paths such as ``steps.a.needs``.
        """
        problems = Problems("", "")
        reader = _Reader(problems)
        root = Mapping("")
        for key, value in self._head.items():
            root.pairs[key] = (Scalar(key, key), reader.node(value, key, 1))
        document: dict[str, Any] = {**self._head, "steps": {}}
        root.pairs["steps"] = (Scalar("steps", "steps"), Mapping("steps"))
        for section, step_id, step in self._steps:
            path = f"{section}.{step_id}"
            if section != "steps" and section not in HOOKS:
                hint = f"hooks are: {', '.join(HOOKS)}"
                problems.error(
                    codes.BAD_VALUE, f"there is no hook {section!r}", f"steps.{step_id}", hint=hint
                )
                continue
            _, steps = root.pairs.setdefault(section, (Scalar(section, section), Mapping(section)))
            assert isinstance(steps, Mapping)
            if step_id in steps.pairs:
                problems.error(codes.DUPLICATE_KEY, f"the step {step_id!r} is added twice", path)
                continue
            steps.pairs[step_id] = (Scalar(step_id, path), reader.node(step, path, 2))
            document.setdefault(section, {})[step_id] = step
        spec = None
        if not problems.failed:
            spec = check_document(
                root,
                problems,
                default_name=str(self.name),
                source="",
                family=GivenFamily(self._children, problems),
                any_payload=True,
            )
        warnings = problems.finish(strict=False)
        assert spec is not None
        source = json.dumps(document, ensure_ascii=False, indent=1)
        return replace(spec, source=source, warnings=warnings)


def _declaration(value: InputSpec | AnyMapping[str, Any]) -> Any:
    return value.to_json() if isinstance(value, InputSpec) else _plain(value)


def _plain(value: Any) -> Any:
    """Return the language's spelling of a Python option."""
    match value:
        case Retry():
            return value.to_json()
        case timedelta():
            return value.total_seconds()
        case datetime():
            # a time without zone is left as it is, and refused with the others
            return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    return value


class _Reader:
    """Turns Python values into nodes; what is not JSON is reported."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._nodes = 0
        self._open: set[int] = set()

    def node(self, value: Any, path: str, depth: int) -> Node:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            return self._refuse("is nested too deeply or too large", path)
        match value:
            case None | bool():
                return Scalar(value, path)
            case str():
                return self._text(value, path)
            case int():
                big = abs(value) > _BIGGEST
                return (
                    self._refuse("is a number of more than 300 digits", path) if big else Scalar(value, path)
                )
            case float():
                if math.isfinite(value):
                    return Scalar(value, path)
                return self._refuse(f"is {value}, which is not JSON", path)
            case list() | tuple():
                return self._inside(value, path, lambda: self._sequence(value, path, depth))
            case dict():
                return self._inside(value, path, lambda: self._mapping(value, path, depth))
        return self._refuse(f"is a {type(value).__name__}, which is not JSON", path)

    def _inside(self, value: Any, path: str, read: Callable[[], Node]) -> Node:
        if id(value) in self._open:
            return self._refuse("holds itself", path)
        self._open.add(id(value))
        try:
            return read()
        finally:
            self._open.discard(id(value))

    def _sequence(self, value: list[Any] | tuple[Any, ...], path: str, depth: int) -> Node:
        sequence = Sequence(path)
        sequence.items = [self.node(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
        return sequence

    def _mapping(self, value: dict[Any, Any], path: str, depth: int) -> Node:
        mapping = Mapping(path)
        for key, item in value.items():
            if not isinstance(key, str):
                self._problems.error(codes.NON_STRING_KEY, f"a key must be text, not {key!r}", path)
                continue
            place = f"{path}.{key}"
            self._text(key, path)
            mapping.pairs[key] = (Scalar(key, place), self.node(item, place, depth + 1))
        return mapping

    def _text(self, value: str, path: str) -> Scalar:
        try:
            value.encode()
        except UnicodeEncodeError:
            return self._refuse("holds a lone surrogate, which cannot be stored", path)
        return (
            self._refuse("holds the character NUL, which cannot be stored", path)
            if "\0" in value
            else Scalar(value, path)
        )

    def _refuse(self, fault: str, path: str) -> Scalar:
        self._problems.error(codes.NOT_JSON, f"the value {fault}", path)
        return Scalar(None, path)
