"""The ``inputs`` section: nodes -> InputSpec."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.fields import ID_PATTERN, INPUT
from tributary_daemon.spec.inputs import check_value, is_date
from tributary_daemon.spec.kinds import INVALID, parse_time, refuse_expressions, refuse_type
from tributary_daemon.spec.mappings import read_fields
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, to_json
from tributary_daemon.spec.workflow import INPUT_TYPES, SIMPLE_TYPES, InputSpec

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

_ID = re.compile(ID_PATTERN)
_BOUNDED: Final = ("string", "integer", "number", "list", "date", "datetime")
_DATED: Final = ("date", "datetime")
_COUNTED: Final = ("string", "list")


def read_inputs(
    node: Node | None, problems: Problems, *, key: str = "inputs", what: str = "input"
) -> dict[str, InputSpec]:
    """Return the declared inputs by name; what is wrong is reported and left out.

    Args:
        node: the mapping.
        problems: the collector.
        key: its key, for messages.
        what: what one of them is called.
    """
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        refuse_type(node, key, "a mapping", problems, hint=f"{key}: {{email: {{type: string}}}}")
        return {}
    found: dict[str, InputSpec] = {}
    article = "an" if what == "input" else "a"
    for name, (at, value) in node.pairs.items():
        if name.startswith("x-"):
            continue
        if not _ID.fullmatch(name):
            hint = "letters, digits, `_` and `-`, not beginning with a digit, at most 100"
            problems.error(codes.BAD_ID, f"{name!r} is not a name for {article} {what}", at, hint=hint)
        # a broken declaration still counts as declared, so that references to it are no further faults
        found[name] = _read_input(name, value, problems) or InputSpec(required=False)
    return found


def _read_input(name: str, node: Node, problems: Problems) -> InputSpec | None:
    if not isinstance(node, Mapping):
        word = node.value if isinstance(node, Scalar) and node.value in INPUT_TYPES else "string"
        hint = f"write {name}: {{type: {word}}}"
        refuse_type(node, f"inputs.{name}", "a mapping", problems, hint=hint)
        return None
    values = read_fields(node, INPUT, f"input {name!r}", problems)
    if "type" not in values:
        if node.get("type") is None:
            hint = f"type is one of: {', '.join(INPUT_TYPES)}"
            problems.error(codes.MISSING_KEY, f"input {name!r} has no type", node, hint=hint)
        return None
    kind: str = values["type"]
    bound = {key: _bound(kind, key, node.get(key), problems) for key in ("min", "max")}
    sound = _check_pattern(kind, node.get("pattern"), problems) and INVALID not in bound.values()
    options = _options(kind, node, problems)
    items = _items(kind, node.get("items"), problems)
    if not sound or options is INVALID or items is INVALID:
        return None
    has_default = "default" in values
    spec = InputSpec(
        type=kind,
        required=values.get("required", not has_default),
        has_default=has_default,
        default=values.get("default"),
        options=options,
        min=bound["min"],
        max=bound["max"],
        pattern=values.get("pattern"),
        items=items,
        description=values.get("description"),
    )
    if (default := node.get("default")) is not None:
        _check_default(name, spec, default, problems)
    return spec


def _check_default(name: str, spec: InputSpec, node: Node, problems: Problems) -> None:
    if refuse_expressions(node, "default", problems):
        return
    if spec.default is None and not spec.required:
        return
    for fault in check_value(spec, spec.default):
        problems.error(codes.BAD_DEFAULT, f"the default of input {name!r} {fault}", node)


def _bound(kind: str, key: str, node: Node | None, problems: Problems) -> Any:
    if node is None:
        return None
    value = node.value if isinstance(node, Scalar) else None
    if kind not in _BOUNDED:
        problems.error(codes.BAD_INPUT, f"`{key}` means nothing for type {kind}", node)
        return INVALID
    if kind in _DATED:
        right = isinstance(value, str) and (
            is_date(value) if kind == "date" else parse_time(value) is not None
        )
        wanted = "a date like 2026-03-01" if kind == "date" else "a time like 2026-03-01T06:00:00Z"
    elif kind in _COUNTED:
        right = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        wanted = "a whole number, it counts characters or items"
    else:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
        wanted = "a number"
    return value if right else refuse_type(node, key, wanted, problems)


def _check_pattern(kind: str, node: Node | None, problems: Problems) -> bool:
    if node is None:
        return True
    if kind != "string":
        problems.error(codes.BAD_INPUT, f"`pattern` belongs to a string, not to type {kind}", node)
        return False
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return False
    try:
        re.compile(node.value)
    except (re.error, OverflowError, RecursionError) as error:
        hint = "the syntax is that of Python's re module"
        problems.error(codes.BAD_INPUT, f"`pattern` is no regular expression: {error}", node, hint=hint)
        return False
    return True


def _options(kind: str, owner: Mapping, problems: Problems) -> Any:
    node = owner.get("options")
    if kind != "choice":
        if node is None:
            return ()
        message = f"`options` belongs to a choice, not to type {kind}"
        problems.error(codes.BAD_INPUT, message, node, hint="type: choice")
        return INVALID
    if node is None:
        problems.error(codes.MISSING_KEY, "a choice has no options", owner, hint="options: [dev, prod]")
        return INVALID
    if not isinstance(node, Sequence) or not node.items:
        return refuse_type(
            node, "options", "a list of at least one value", problems, hint="options: [dev, prod]"
        )
    if refuse_expressions(node, "options", problems):
        return INVALID
    return tuple(to_json(item) for item in node.items)


def _items(kind: str, node: Node | None, problems: Problems) -> Any:
    if node is None:
        return None
    if kind != "list":
        problems.error(codes.BAD_INPUT, f"`items` belongs to a list, not to type {kind}", node)
        return INVALID
    if isinstance(node, Mapping):
        return _read_input("items", node, problems) or INVALID
    word = node.value if isinstance(node, Scalar) else None
    if word not in SIMPLE_TYPES:
        hint = suggest(str(word), INPUT_TYPES)
        if word == "choice":
            hint = "a choice has options: items: {type: choice, options: [dev, prod]}"
        problems.error(codes.BAD_INPUT, "`items` must be a type or a mapping", node, hint=hint)
        return INVALID
    return InputSpec(type=str(word))
