"""Checks every expression of a document and collects the steps it refers to."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tributary_daemon.spec import codes, scopes
from tributary_daemon.spec.expressions import ExpressionError, compile_expression, split
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Place, Scalar

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.spec.expressions import Expression, Path
    from tributary_daemon.spec.problems import Hint, Problems

RUN_FIELDS: Final = (
    "id",
    "name",
    "state",
    "error",
    "created_at",
    "started_at",
    "scheduled_for",
    "parent_id",
    "labels",
)
STEP_FIELDS: Final = ("state", "attempt", "result", "items")
ITEM_FIELDS: Final = ("state", "item", "result")
_ENDED_FIELDS: Final = ("state", "error")
_RESULT_WORDS: Final = ("output", "outputs", "outcome", "value", "returns")
_DECLARATIONS: Final = {
    "secrets": "`secrets: [{}]` beside `steps`",
    "env": "`env: {{{}: …}}` beside `steps`",
}
_SINGLE_EQUALS = re.compile(r"[^=!<>]=(?!=)")
_WORD_OPERATOR = re.compile(r"(?:^|\s)(and|or|not)(?:\s|$)")
_COMMENT = re.compile(r"\s+#")


@functools.lru_cache(maxsize=1024)
def _compiled(source: str) -> Expression:
    return compile_expression(source)


class Reader(Protocol):
    """The step an expression belongs to, as far as it matters to what it may read."""

    @property
    def id(self) -> str:
        """Of the step."""
        ...

    @property
    def fan(self) -> str | None:
        """``for_each`` or ``matrix``, None when it runs once."""
        ...

    @property
    def axes(self) -> frozenset[str]:
        """Names that ``matrix.NAME`` may have, in lower case."""
        ...

    @property
    def hook(self) -> str | None:
        """The hook it belongs to, None for a step of the workflow itself."""
        ...


class _Mention(NamedTuple):
    """An expression and where it stands; its place in the text is looked for only when it is faulty."""

    node: Scalar
    text: str
    place: scopes.Place
    reader: Reader | None
    found: dict[str, None]


class References:
    """Checks expressions against what a workflow declares.

    Args:
        inputs: names of the declared inputs.
        steps: all steps, those of hooks included.
        problems: the collector.
        secrets: names of the declared secrets.
        variables: names of the workflow's ``env``.
    """

    def __init__(
        self,
        inputs: Collection[str],
        steps: Collection[Reader],
        problems: Problems,
        *,
        secrets: Collection[str] = (),
        variables: Collection[str] = (),
    ) -> None:
        self._inputs = {name.lower(): name for name in inputs}
        self._steps = {step.id: step for step in steps}
        self._ids = {step.id.lower(): step.id for step in steps}
        self._declared: dict[str, tuple[str, str, dict[str, str]]] = {
            "inputs": (codes.UNDECLARED_INPUT, "input", self._inputs),
            "secrets": (codes.UNDECLARED_SECRET, "secret", {name.lower(): name for name in secrets}),
            "env": (codes.UNDECLARED_VARIABLE, "variable", {name.lower(): name for name in variables}),
        }
        self._problems = problems

    def check(self, root: Node, place: scopes.Place, reader: Reader | None, found: dict[str, None]) -> bool:
        """Check every text below ``root``; return whether there is an expression at all.

        Args:
            root: the value.
            place: the key it belongs to.
            reader: the step it belongs to; None for a value of the workflow.
            found: receives the ids of steps to wait for, in order, each once.
        """
        dynamic = False
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Scalar):
                if isinstance(node.value, str) and "${{" in node.value:
                    dynamic = True
                    self._check_text(node, place, reader, found)
            elif isinstance(node, Mapping):
                for name, (key, _) in node.pairs.items():
                    if "${{" in name:
                        self._problems.error(
                            codes.EXPRESSION_OUT_OF_PLACE,
                            "a key cannot hold an expression",
                            key,
                            hint="expressions stand in values",
                        )
                waiting.extend(value for _, value in reversed(node.pairs.values()))
            else:
                waiting.extend(reversed(node.items))
        return dynamic

    def check_condition(
        self,
        node: Node,
        condition: str,
        place: scopes.Place,
        reader: Reader | None,
        found: dict[str, None],
    ) -> bool:
        """Check a condition; return whether it calls a status function.

        Args:
            node: its value.
            condition: the expression that was read from it.
            place: the key it belongs to.
            reader: the step it belongs to; None for a value of the workflow.
            found: receives the ids of steps to wait for.
        """
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return False
        calls = self._check_expression(_Mention(node, condition, place, reader, found))
        return not calls.isdisjoint(scopes.STATUS_FUNCTIONS)

    def _check_text(
        self, node: Scalar, place: scopes.Place, reader: Reader | None, found: dict[str, None]
    ) -> None:
        try:
            pieces = split(node.value)
        except ExpressionError as error:
            if lost_text(node, self._problems):
                return
            self._problems.error(
                codes.BAD_EXPRESSION, error.message, self._problems.locate(node, "${{"), hint=error.hint
            )
            return
        for piece in pieces:
            if piece.is_expression:
                self._check_expression(_Mention(node, piece.text, place, reader, found))

    def _check_expression(self, at: _Mention) -> frozenset[str]:
        try:
            expression = _compiled(at.text)
        except ExpressionError as error:
            self._report_unreadable(error, at)
            return frozenset()
        for path in expression.paths:
            self._check_path(path, at)
        if expression.calls and not at.place.status:
            self._refuse_status(expression.calls, at)
        return expression.calls

    def _report_unreadable(self, error: ExpressionError, at: _Mention) -> None:
        if error.unknown_context:
            message = f"unknown context {error.unknown_context!r} in an expression"
            self._error(codes.UNKNOWN_CONTEXT, message, at, error.hint)
        elif error.unknown_function:
            message = f"unknown function {error.unknown_function!r} in an expression"
            self._error(codes.UNKNOWN_FUNCTION, message, at, error.hint)
        elif "${{" in str(at.node.value) or not lost_text(at.node, self._problems):
            self._error(codes.BAD_EXPRESSION, error.message, at, error.hint or _repair(at.text))

    def _refuse_status(self, calls: frozenset[str], at: _Mention) -> None:
        called = [name for name in scopes.STATUS_FUNCTIONS if name in calls]
        if called:
            message = f"`{called[0]}()` can be called in the `if` of a step only, not in `{at.place.key}`"
            hint = "the state of one step is steps.ID.state; in a hook run.state is that of the run"
            self._error(codes.STATUS_FUNCTION, message, at, hint)

    def _check_path(self, path: Path, at: _Mention) -> None:
        root, reader = path.root, at.reader
        hint: Hint
        if root not in at.place.contexts and not self._is_of_an_item(root, at):
            return
        if root == "steps":
            self._check_step(path, at)
        elif not path.parts or not isinstance(word := path.parts[0], str):
            if root == "secrets":
                self._error(codes.OUT_OF_REACH, "secrets are read by their names", at, "write secrets.NAME")
        elif (declared := self._declared.get(root)) is not None:
            code, what, known = declared
            if word.lower() not in known:
                hint = functools.partial(suggest, word, list(known.values()), what=f"{what}s")
                if not known and root != "inputs":
                    hint = f"declare it: {_DECLARATIONS[root].format(word)}"
                self._error(code, f"undeclared {what} {word!r}", at, hint)
        elif root == "run":
            self._check_run(word, at)
        elif root == "matrix" and reader is not None and word.lower() not in reader.axes:
            hint = suggest(word, sorted(reader.axes), what="axes")
            self._error(codes.UNKNOWN_FIELD, f"the matrix has no {word!r}", at, hint)

    def _is_of_an_item(self, root: str, at: _Mention) -> bool:
        """Report a context that cannot be read here; return whether it can, since the step fans out."""
        fan = at.reader.fan if at.reader is not None else None
        if root in scopes.contexts(at.place, fan):
            return True
        message, hint = scopes.why_not(root, at.place, fan)
        self._error(codes.OUT_OF_REACH, message, at, hint)
        return False

    def _check_run(self, word: str, at: _Mention) -> None:
        if word.lower() not in RUN_FIELDS:
            self._error(codes.UNKNOWN_FIELD, f"a run has no {word!r}", at, suggest(word, RUN_FIELDS))
        elif word.lower() in _ENDED_FIELDS and not (
            at.place.key == "undo" or (at.reader is not None and at.reader.hook)
        ):
            message = f"`run.{word}` is known only when the steps have ended: in hooks and in `undo`"
            hint = "move the step to on_success, on_failure, on_cancel or finally"
            self._error(codes.OUT_OF_REACH, message, at, hint)

    def _check_step(self, path: Path, at: _Mention) -> None:
        if not path.parts or not isinstance(word := path.parts[0], str):
            if at.reader is not None:
                self._error(
                    codes.WHOLE_STEPS,
                    "inside a step, `steps` must be followed by the id of one step",
                    at,
                    "write steps.ID.result: the reference decides what this step waits for",
                )
            return
        target = self._steps.get(word) or self._steps.get(self._ids.get(word.lower(), ""))
        if target is None:
            hint = functools.partial(suggest, word, self._ids.values())
            self._error(codes.UNKNOWN_STEP, f"unknown step {word!r} in an expression", at, hint)
        elif self._is_in_reach(target, at):
            if (
                at.place.edges
                and at.reader is not None
                and target.hook == at.reader.hook
                and target.id != at.reader.id
            ):
                at.found[target.id] = None
            self._check_field(path.parts[1:], target, at)

    def _is_in_reach(self, target: Reader, at: _Mention) -> bool:
        """Report a step whose result cannot be there yet; return whether it can."""
        reader = at.reader
        hook = reader.hook if reader is not None else None
        if reader is not None and target.id == reader.id:
            if at.place.own:
                return True
            message = f"step {target.id!r} refers to itself"
            self._error(codes.SELF_NEED, message, at, "its result exists only when it has ended")
            return False
        if target.hook is None or hook in (target.hook, "finally"):
            return True
        message = f"step {target.id!r} belongs to {target.hook}, which has not run yet here"
        hint = "steps of a hook can be read in the same hook, and in finally"
        self._error(codes.HOOK_BORDER, message, at, hint)
        return False

    def _check_field(self, parts: tuple[Any, ...], target: Reader, at: _Mention) -> None:
        if not parts or not isinstance(name := parts[0], str):
            return
        word = name.lower()
        if word == "result" or word in ("state", "attempt"):
            return
        if word == "items":
            self._check_items(parts[1:], target, at)
        elif word in _RESULT_WORDS:
            hint = f"Tributary says `result`; known: {', '.join(STEP_FIELDS)}"
            self._error(codes.UNKNOWN_FIELD, f"a step has no {name!r}", at, hint)
        else:
            hint = f"{suggest(name, STEP_FIELDS)}; what it returned is steps.{target.id}.result.{name}"
            self._error(codes.UNKNOWN_FIELD, f"a step has no {name!r}", at, hint)

    def _check_items(self, parts: tuple[Any, ...], target: Reader, at: _Mention) -> None:
        if target.fan is None:
            message = f"step {target.id!r} has no items, it runs once"
            hint = f"what it returned is steps.{target.id}.result; items come from for_each or matrix"
            self._error(codes.NO_ITEMS, message, at, hint)
            return
        if parts and isinstance(parts[0], str):
            hint = f"write steps.{target.id}.items[0].{parts[0]} or steps.{target.id}.items.*.{parts[0]}"
            self._error(codes.UNKNOWN_FIELD, f"`items` is a list, it has no {parts[0]!r}", at, hint)
        elif len(parts) > 1 and isinstance(name := parts[1], str) and name.lower() not in ITEM_FIELDS:
            self._error(codes.UNKNOWN_FIELD, f"an item has no {name!r}", at, suggest(name, ITEM_FIELDS))

    def _error(self, code: str, message: str, at: _Mention, hint: Hint) -> None:
        braced = "${{" in str(at.node.value)
        part = f"${{{{{at.text}}}}}" if braced else at.text
        found = self._problems.locate(at.node, part)
        if braced and found is at.node:
            found = self._problems.locate(at.node, at.text)
        self._problems.error(code, message, found, hint=hint)


def _repair(expression: str) -> str | None:
    """Return the hint for what people write from habit."""
    if word := _WORD_OPERATOR.search(expression):
        symbol = {"and": "&&", "or": "||", "not": "!"}[word.group(1)]
        return f"write `{symbol}` instead of `{word.group(1)}`"
    return "compare with `==`" if _SINGLE_EQUALS.search(expression) else None


def lost_text(node: Scalar, problems: Problems) -> bool:
    """Report a plain text that YAML cut at `` #``; return whether it was so."""
    place = node.place
    if not node.plain or not isinstance(place, Place):
        return False
    line = problems.line(place.end_line)
    comment = _COMMENT.match(line, place.end_column)
    if comment is None:
        return False
    problems.error(
        codes.LOST_TEXT,
        "the text ends at ` #`, YAML takes the rest of the line as a comment",
        Place(place.end_line, comment.end() - 1, place.end_line, len(line.rstrip())),
        hint="quote the whole value, or write it as a block after `|`",
    )
    return True
