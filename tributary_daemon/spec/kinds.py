"""Kinds of values a key can have: each reads a node and knows its own JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations
from tributary_daemon.spec import codes
from tributary_daemon.spec.expressions import ExpressionError, split
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, kind, to_json

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems


class Invalid:
    """What a kind returns for a value that it has reported."""


INVALID: Final = Invalid()
Read = Callable[[Node, str, "Problems"], Any]
_NUMBER_TYPES: Final = (int, float)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value.

    Attributes:
        schema: its JSON Schema.
        read: called with the node, the name of its key and the collector of problems; returns the value
            or ``INVALID``.
    """

    schema: dict[str, Any]
    read: Read


def refuse_type(node: Node, key: str, wanted: str, problems: Problems, *, hint: str | None = None) -> Invalid:
    """Report a value of the wrong kind."""
    problems.error(codes.WRONG_TYPE, f"`{key}` must be {wanted}, not {kind(node)}", node, hint=hint)
    return INVALID


def holds_expression(node: Node) -> bool:
    """Return whether a node is a text with ``${{``."""
    return isinstance(node, Scalar) and isinstance(node.value, str) and "${{" in node.value


def refuse_expression(node: Node, key: str, problems: Problems) -> bool:
    """Report ``${{ }}`` where none can stand; return whether there was one."""
    if not holds_expression(node):
        return False
    at = problems.locate(node, "${{")
    message = f"`{key}` cannot hold an expression"
    problems.error(codes.EXPRESSION_OUT_OF_PLACE, message, at, hint=PLACES_HINT)
    return True


def refuse_expressions(node: Node, key: str, problems: Problems) -> bool:
    """Do as `refuse_expression` for every text below a node."""
    if isinstance(node, Scalar):
        return refuse_expression(node, key, problems)
    below = node.items if isinstance(node, Sequence) else [value for _, value in node.pairs.values()]
    refused = [refuse_expressions(each, key, problems) for each in below]
    return True in refused


def sole_expression(text: str) -> str | None:
    """Return a text that is one ``${{ }}``, without the blanks around it; None when there is more or none.

    A block after ``|`` ends with a line break, which would make the value a text.
    """
    try:
        pieces = [piece for piece in split(text) if piece.is_expression or piece.text.strip()]
    except ExpressionError:
        # told where all expressions are checked
        return text
    return text.strip() if len(pieces) == 1 and pieces[0].is_expression else None


def templated(kind: Kind) -> Kind:
    """Return the kind that takes what ``kind`` takes, or a text with ``${{ }}`` that is left as it is."""

    def read(node: Node, key: str, problems: Problems) -> Any:
        if holds_expression(node):
            assert isinstance(node, Scalar)
            return node.value
        return kind.read(node, key, problems)

    schema = kind.schema
    choices = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    return Kind({"anyOf": [*choices, EXPRESSION_SCHEMA]}, read)


def _read_text(node: Node, key: str, problems: Problems) -> Any:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = "quote it" if isinstance(node, Scalar) and node.value is not None else None
        return refuse_type(node, key, "text", problems, hint=hint)
    return INVALID if refuse_expression(node, key, problems) else node.value


def _read_template(node: Node, key: str, problems: Problems) -> Any:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = "quote it" if isinstance(node, Scalar) and node.value is not None else None
        return refuse_type(node, key, "text", problems, hint=hint)
    if not node.value.strip():
        problems.error(codes.BAD_VALUE, f"`{key}` is empty", node, hint="write a text, or leave the key out")
        return INVALID
    return node.value


def _read_share(node: Node, key: str, problems: Problems) -> Any:
    value = node.value if isinstance(node, Scalar) else None
    if refuse_expression(node, key, problems):
        return INVALID
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if found is None or float(found.group(1)) > _WHOLE:
        hint = f"{key}: 3 for three items, or {key}: 10% for a share"
        problems.error(
            codes.BAD_VALUE, f"`{key}` must be a number of items or a share of them", node, hint=hint
        )
        return INVALID
    return value


def _read_prose(node: Node, key: str, problems: Problems) -> Any:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return refuse_type(node, key, "text", problems)
    return node.value


def _read_boolean(node: Node, key: str, problems: Problems) -> Any:
    if refuse_expression(node, key, problems):
        return INVALID
    if not isinstance(node, Scalar) or not isinstance(node.value, bool):
        hint = None
        if isinstance(node, Scalar) and str(node.value).lower() in ("yes", "no", "on", "off"):
            hint = "YAML 1.2 knows true and false only"
        return refuse_type(node, key, "true or false", problems, hint=hint)
    return node.value


def integer(least: int, most: int) -> Kind:
    """Return the kind of whole numbers from ``least`` to ``most``."""

    def read(node: Node, key: str, problems: Problems) -> Any:
        if refuse_expression(node, key, problems):
            return INVALID
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, int) or isinstance(value, bool):
            return refuse_type(node, key, "a whole number", problems)
        if not least <= value <= most:
            problems.error(codes.BAD_VALUE, f"`{key}` is {value}, outside of {least:,} to {most:,}", node)
            return INVALID
        return value

    return Kind({"type": "integer", "minimum": least, "maximum": most}, read)


def number(least: float, most: float) -> Kind:
    """Return the kind of numbers from ``least`` to ``most``."""

    def read(node: Node, key: str, problems: Problems) -> Any:
        if refuse_expression(node, key, problems):
            return INVALID
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, _NUMBER_TYPES) or isinstance(value, bool):
            return refuse_type(node, key, "a number", problems)
        if not least <= value <= most:
            problems.error(codes.BAD_VALUE, f"`{key}` is {value}, outside of {least} to {most}", node)
            return INVALID
        return value

    return Kind({"type": "number", "minimum": least, "maximum": most}, read)


def duration(*, positive: bool) -> Kind:
    """Return the kind of durations, read as seconds."""

    def read(node: Node, key: str, problems: Problems) -> Any:
        if refuse_expression(node, key, problems):
            return INVALID
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return refuse_type(node, key, "a duration", problems, hint="e.g. 500ms, 30s, 5m, 1h30m, 2d")
        try:
            seconds = durations.seconds(value)
        except InvalidInput as error:
            problems.error(codes.BAD_VALUE, f"`{key}`: {error.message}", node, hint=error.hint)
            return INVALID
        if positive and seconds == 0:
            problems.error(
                codes.BAD_VALUE, f"`{key}` must be longer than 0", node, hint="leave it out for none"
            )
            return INVALID
        return seconds

    return Kind(_DURATION_SCHEMA, read)


def _read_moment(node: Node, key: str, problems: Problems) -> Any:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, str) and _DATE.match(value):
        if (moment := parse_time(value)) is not None:
            return moment
        problems.error(
            codes.BAD_VALUE,
            f"`{key}`: {value!r} is not a time with its zone",
            node,
            hint="write it like 2026-03-01T06:00:00Z or 2026-03-01T06:00:00+01:00",
        )
        return INVALID
    return DURATION.read(node, key, problems)


def parse_time(text: str) -> str | None:
    """Return an RFC 3339 time in UTC with microseconds; None when ``text`` is none or lacks its zone."""
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError):
        return None


def _read_time(node: Node, key: str, problems: Problems) -> Any:
    value = node.value if isinstance(node, Scalar) else None
    if not isinstance(value, str) or not _DATE.match(value):
        hint = "write it like 2026-03-01T06:00:00Z or 2026-03-01T06:00:00+01:00"
        return refuse_type(node, key, "a time with its zone", problems, hint=hint)
    return _read_moment(node, key, problems)


def one_of(words: tuple[str, ...]) -> Kind:
    """Return the kind of texts that are one of ``words``."""

    def read(node: Node, key: str, problems: Problems) -> Any:
        value = _read_text(node, key, problems)
        if value is not INVALID and value not in words:
            problems.error(
                codes.BAD_VALUE, f"`{key}` cannot be {value!r}", node, hint=f"use one of: {', '.join(words)}"
            )
            return INVALID
        return value

    return Kind({"enum": list(words)}, read)


def names(what: str, pattern: str, rule: str) -> Kind:
    """Return the kind of lists of different names; a single one stands for a list of one."""
    listed = list_of(named(what, pattern, rule), keep_faulty=True)

    def read(node: Node, key: str, problems: Problems) -> Any:
        if isinstance(node, Mapping):
            return refuse_type(node, key, "a list of names", problems, hint=f"{key}: [ONE, TWO]")
        found = listed.read(node, key, problems)
        for index, name in enumerate(found):
            if name is not None and name in found[:index] and isinstance(node, Sequence):
                message = f"{name!r} is written twice in {key}"
                problems.warning(codes.WRITTEN_TWICE, message, node.items[index])
        return [name for name in dict.fromkeys(found) if name is not None]

    return Kind(listed.schema, read)


def list_of(item: Kind, *, keep_faulty: bool = False) -> Kind:
    """Return the kind of lists; a single value stands for a list of one.

    Args:
        item: what it holds.
        keep_faulty: None stands for a faulty one, so that the others can still be looked at.
    """

    def read(node: Node, key: str, problems: Problems) -> Any:
        items = node.items if isinstance(node, Sequence) else [node]
        values = [item.read(each, key, problems) for each in items]
        if keep_faulty:
            return [None if value is INVALID else value for value in values]
        return INVALID if INVALID in values else values

    return Kind({"anyOf": [item.schema, {"type": "array", "items": item.schema}]}, read)


def _read_labels(node: Node, key: str, problems: Problems) -> Any:
    if not isinstance(node, Mapping):
        return refuse_type(node, key, "a mapping of texts", problems, hint=f"{key}: {{team: data}}")
    labels: dict[str, str] = {}
    for name, (_, value) in node.pairs.items():
        text = scalar_text(value)
        if text is None:
            refuse_type(value, f"{key}.{name}", "text", problems)
        elif not refuse_expression(value, f"{key}.{name}", problems):
            labels[name] = text
    return labels


def scalar_text(node: Node) -> str | None:
    """Return a text, number or boolean as text, None for anything else."""
    if not isinstance(node, Scalar):
        return None
    match node.value:
        case str():
            return node.value
        case bool():
            return "true" if node.value else "false"
        case int() | float():
            return str(node.value)
    return None


def left_to_owner(schema: dict[str, Any]) -> Kind:
    """Return the kind of values that a module of their own reads: payloads, inputs, steps."""
    return Kind(schema, lambda node, _key, _problems: node)


def named(what: str, pattern: str, rule: str) -> Kind:
    """Return the kind of names that match ``pattern``; ``rule`` says it in words."""
    compiled = re.compile(pattern)

    def read(node: Node, key: str, problems: Problems) -> Any:
        value = _read_text(node, key, problems)
        if value is not INVALID and not compiled.fullmatch(value):
            problems.error(codes.BAD_NAME, f"{value!r} is not a {what}", node, hint=rule)
            return INVALID
        return value

    return Kind({"type": "string", "pattern": f"^{pattern}$"}, read)


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)%", re.ASCII)
_WHOLE: Final = 100
PLACES_HINT: Final = "expressions stand in with, env, if, for_each, result and the options of a step"
EXPRESSION_SCHEMA: Final = {"type": "string", "pattern": r"\$\{\{"}
_DURATION_SCHEMA: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^(\d+|(\d+(\.\d+)?(ms|[dhms]))+)$"},
    ]
}

TEXT: Final = Kind({"type": "string"}, _read_text)
TEMPLATE: Final = Kind({"type": "string", "minLength": 1}, _read_template)
SHARE: Final = Kind(
    {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)?%$"}]},
    _read_share,
)
TIME: Final = Kind({"type": "string", "format": "date-time"}, _read_time)
PROSE: Final = Kind({"type": "string"}, _read_prose)
BOOLEAN: Final = Kind({"type": "boolean"}, _read_boolean)
DURATION: Final = duration(positive=False)
MOMENT: Final = Kind(
    {"anyOf": [*_DURATION_SCHEMA["anyOf"], {"type": "string", "format": "date-time"}]}, _read_moment
)
LABELS: Final = Kind(
    {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}, _read_labels
)
JSON: Final = Kind({}, lambda node, _key, _problems: to_json(node))
