"""Whether what is written, or what an expression reads, fits the JSON Schema of a handler's payload."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec import codes
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, kind
from tributary_daemon.spec.shapes import Shape, kind_of, kind_of_value, lax, names_in, variants, words

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Hint

Judge = Callable[[Scalar, Shape], str | None]
_DEEPEST: Final = 12
_BOUNDS: Final[tuple[tuple[str, Callable[[Any, Any], bool], str], ...]] = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "more than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)


class Misfit(NamedTuple):
    """What is wrong, and where; ``path`` is empty for what an expression gives."""

    code: str
    message: str
    at: Node
    hint: Hint = None
    path: str = ""


def misfits(node: Node, shape: Shape, path: str, judge: Judge) -> Iterator[Misfit]:
    """Yield all that does not fit.

    Args:
        node: the value.
        shape: what it shall be.
        path: how messages name it, e.g. ``with.width``.
        judge: returns why what a text with expressions gives does not fit; see `mismatch`.
    """
    if isinstance(node, Scalar) and isinstance(node.value, str) and "${{" in node.value:
        if (why := judge(node, shape)) is not None:
            yield Misfit(codes.WRONG_VALUE, f"`{path}` {why}", node, _convert(shape))
        return
    options = variants(shape)
    if any(kind_of(option) is None and not _closed(option) for option in options):
        return
    right = [option for option in options if _same_kind(node, option)]
    if not right:
        what = kind(node) if not isinstance(node, Scalar) or node.value is None else repr(node.value)
        yield Misfit(codes.WRONG_VALUE, f"`{path}` must be {words(shape)}, not {what}", node, path=path)
        return
    tried = [list(_inside(node, option, path, judge)) for option in right]
    if all(tried):
        # of several alternatives the one that is nearest explains best
        yield from min(tried, key=len)


def _closed(option: Shape) -> bool:
    return isinstance(option.schema, dict) and ("enum" in option.schema or "const" in option.schema)


def _same_kind(node: Node, option: Shape) -> bool:
    wanted = kind_of(option)
    match node:
        case Mapping():
            return wanted == "object"
        case Sequence():
            return wanted == "array"
    if _closed(option):
        return True
    value = node.value
    found = kind_of_value(value)
    if found == wanted or (found == "integer" and wanted == "number"):
        return True
    if isinstance(value, str):
        return wanted is not None and lax(value, wanted)
    if found == "boolean":
        # handlers read booleans as 0 and 1, and the other way round; and numbers as times
        return wanted in ("integer", "number")
    dated = isinstance(option.schema, dict) and "format" in option.schema
    return (wanted == "boolean" and value in (0, 1)) or (wanted == "string" and dated and found != "null")


def _inside(node: Node, option: Shape, path: str, judge: Judge) -> Iterator[Misfit]:
    match node:
        case Mapping():
            yield from _object(node, option, path, judge)
        case Sequence():
            yield from _array(node, option, path, judge)
        case _:
            yield from _scalar(node, option.schema, path)


def _object(node: Mapping, option: Shape, path: str, judge: Judge) -> Iterator[Misfit]:
    schema = option.schema
    properties: dict[str, Any] = schema.get("properties", {})
    more = schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in node.pairs:
            takes = f"it takes {', '.join(properties)}" if properties else None
            yield Misfit(codes.MISSING_FIELD, f"`{path}` lacks {name!r}", node, takes, f"{path}.{name}")
    for name, (key, value) in node.pairs.items():
        below = properties.get(name, more if isinstance(more, dict) else None)
        if below is not None:
            yield from misfits(value, option.within(below), f"{path}.{name}", judge)
        elif more is False and "patternProperties" not in schema:
            hint = functools.partial(suggest, name, list(properties), what="it takes")
            yield Misfit(codes.EXTRA_FIELD, f"`{path}` has an unknown {name!r}", key, hint, f"{path}.{name}")


def _array(node: Sequence, option: Shape, path: str, judge: Judge) -> Iterator[Misfit]:
    schema = option.schema
    first = schema.get("prefixItems", [])
    size = len(node.items)
    if size < schema.get("minItems", 0):
        yield Misfit(
            codes.WRONG_VALUE,
            f"`{path}` has {size} items, at least {schema['minItems']} are due",
            node,
            path=path,
        )
    if size > schema.get("maxItems", size):
        yield Misfit(
            codes.WRONG_VALUE, f"`{path}` has {size} items, at most {schema['maxItems']} are", node, path=path
        )
    for number, item in enumerate(node.items):
        below = first[number] if number < len(first) else schema.get("items", True)
        yield from misfits(item, option.within(below), f"{path}[{number}]", judge)


def _scalar(node: Scalar, schema: dict[str, Any], path: str) -> Iterator[Misfit]:
    value = node.value
    allowed = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if allowed is not None:
        if not any(value == each or str(value) == str(each) for each in allowed):
            shown = ", ".join(map(repr, allowed[:12]))
            yield Misfit(
                codes.WRONG_VALUE, f"`{path}` must be one of {shown}, not {value!r}", node, path=path
            )
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for name, holds, said in _BOUNDS:
            if name in schema and not holds(value, schema[name]):
                yield Misfit(
                    codes.WRONG_VALUE, f"`{path}` must be {said} {schema[name]}, not {value}", node, path=path
                )
    elif isinstance(value, str) and schema.get("type") == "string":
        yield from _text(node, value, schema, path)


def _text(node: Scalar, value: str, schema: dict[str, Any], path: str) -> Iterator[Misfit]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", len(value))
    if not least <= len(value) <= most:
        said = f"at least {least}" if len(value) < least else f"at most {most}"
        yield Misfit(
            codes.WRONG_VALUE, f"`{path}` has {len(value)} characters, {said} are allowed", node, path=path
        )
    pattern = _pattern(schema.get("pattern"))
    if pattern is not None and not pattern.search(value):
        yield Misfit(
            codes.WRONG_VALUE, f"`{path}` must match {pattern.pattern}, {value!r} does not", node, path=path
        )


@functools.lru_cache(maxsize=256)
def _pattern(text: Any) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if isinstance(text, str) else None
    except re.error:
        # written for another engine: whoever runs the handler will tell
        return None


def mismatch(found: Shape, wanted: Shape, depth: int = 0) -> str | None:
    """Return why no value of one shape can fit another, as the end of a sentence; None if one may.

    Args:
        found: of what an expression reads.
        wanted: of what the handler takes.
        depth: of the recursion, bounded.
    """
    if depth > _DEEPEST:
        return None
    reasons: list[str] = []
    targets = variants(wanted)
    for source in variants(found):
        have = kind_of(source)
        if have is None:
            return None
        for target in targets:
            want = kind_of(target)
            if want is None or (have == want and have not in ("object", "array")):
                return None
            if {have, want} == {"integer", "number"}:
                return None
            if want == "string" and "format" in target.schema and have in ("integer", "number"):
                # handlers read numbers as times
                return None
            if have == want:
                why = _parts(source, target, depth)
                if why is None:
                    return None
                reasons.append(why)
    if reasons:
        return reasons[0]
    return f"must be {words(wanted)}, but the expression gives {words(found)}"


def _parts(source: Shape, target: Shape, depth: int) -> str | None:
    if kind_of(source) == "array":
        below = [each.within(each.schema.get("items", True)) for each in (source, target)]
        why = mismatch(below[0], below[1], depth + 1)
        return None if why is None else f"is a list whose items do not fit: each {why}"
    have: dict[str, Any] = source.schema.get("properties", {})
    open_ended = (
        "additionalProperties" in source.schema and source.schema["additionalProperties"] is not False
    )
    if not have:
        return None
    takes: dict[str, Any] = target.schema.get("properties", {})
    for name in target.schema.get("required", ()):
        if name not in have and not open_ended:
            return f"lacks {name!r}: the expression gives an object with {', '.join(names_in(source))}"
    for name, below in have.items():
        if name in takes:
            why = mismatch(source.within(below), target.within(takes[name]), depth + 1)
            if why is not None and name in source.schema.get("required", ()):
                return f"does not fit: its {name!r} {why}"
        elif target.schema.get("additionalProperties") is False and name in source.schema.get("required", ()):
            return f"has an unknown {name!r}: the handler takes {', '.join(takes) or 'nothing'}"
    return None


def _convert(shape: Shape) -> str | None:
    kinds = {kind_of(option) for option in variants(shape)}
    if kinds & {"integer", "number", "boolean"}:
        return "fromJSON(…) makes a number or boolean of a text"
    return None
