"""What a JSON Schema says about the values it allows, as far as it can be known; silence means anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.syntax import COMPUTED, WILDCARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.spec.workflow import InputSpec

_DEEPEST: Final = 32
_MOST_VARIANTS: Final = 64
_KINDS: Final = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_WORDS: Final = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_LAX_NUMBER = re.compile(r"\s*[-+]?[0-9_]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?\s*")
_LAX_BOOLEAN: Final = frozenset({"true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0"})


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema and the document that its references are resolved in.

    Attributes:
        schema: as read; ``True`` and ``{}`` allow anything.
        root: holds ``$defs``.
    """

    schema: Any
    root: Any

    @classmethod
    def of(cls, schema: Any) -> Shape:
        """Return the shape of a whole schema."""
        return cls(schema, schema)

    def within(self, schema: Any) -> Shape:
        """Return the shape of a part of the same document."""
        return Shape(schema, self.root)


@dataclass(frozen=True, slots=True)
class Gap:
    """A path that leads nowhere.

    Attributes:
        part: the first part that is not there.
        at: the parts before it.
        known: names that are there instead; empty where nothing has a name.
        what: what stands at ``at``, in words.
    """

    part: str
    at: tuple[str, ...]
    known: tuple[str, ...]
    what: str


EACH: Final = (COMPUTED,)
"""The path to some element."""
ANYTHING: Final = Shape(True, True)
LIST: Final = Shape.of({"type": "array"})
TEXT: Final = Shape.of({"type": "string"})
BOOLEAN: Final = Shape.of({"type": "boolean"})
INTEGER: Final = Shape.of({"type": "integer"})
NUMBER: Final = Shape.of({"type": "number"})


def variants(shape: Shape) -> list[Shape]:
    """Return the alternatives of a shape: without references, ``anyOf``, ``oneOf`` and lists of types."""
    if isinstance(shape.schema, dict) and isinstance(shape.schema.get("type"), str):
        # as most are
        return [shape]
    found: list[Shape] = []
    waiting = [(shape, 0)]
    while waiting:
        at, depth = waiting.pop()
        schema = at.schema
        if not isinstance(schema, dict) or depth > _DEEPEST or len(found) > _MOST_VARIANTS:
            found.append(ANYTHING)
            continue
        if isinstance(reference := schema.get("$ref"), str):
            waiting.append((at.within(_definition(reference, at.root)), depth + 1))
        elif isinstance(options := schema.get("anyOf", schema.get("oneOf")), list):
            waiting.extend((at.within(option), depth + 1) for option in reversed(options))
        elif isinstance(parts := schema.get("allOf"), list):
            # a single part is how older writers put words beside a reference
            one = parts[0] if len(parts) == 1 else True
            waiting.append((at.within(one), depth + 1))
        elif isinstance(types := schema.get("type"), list):
            waiting.extend((at.within({**schema, "type": kind}), depth + 1) for kind in reversed(types))
        else:
            found.append(at)
    return found


def _definition(reference: str, root: Any) -> Any:
    node = root
    if not reference.startswith("#/"):
        return True
    for word in reference[2:].split("/"):
        node = node.get(word.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return True if node is None else node


def kind_of(variant: Shape) -> str | None:
    """Return the JSON type of one variant; None for any."""
    schema = variant.schema
    if not isinstance(schema, dict):
        return None
    kind = schema.get("type")
    if kind in _KINDS:
        return str(kind)
    if "const" in schema or "enum" in schema:
        kinds = {kind_of_value(value) for value in schema.get("enum", [schema.get("const")])}
        return kinds.pop() if len(kinds) == 1 else None
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else None


def kind_of_value(value: Any) -> str:
    """Return the JSON type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
    return "object"


def words(shape: Shape) -> str:
    """Return what a shape allows, in words: ``an integer or null``."""
    kinds = [kind_of(variant) for variant in variants(shape)]
    if None in kinds:
        return "anything"
    return " or ".join(dict.fromkeys(_WORDS[kind] for kind in kinds if kind is not None))


def lax(text: str, kind: str) -> bool:
    """Whether handlers read this text as a value of that type: pydantic takes ``"5"`` for 5."""
    if kind in ("integer", "number"):
        return _LAX_NUMBER.fullmatch(text) is not None
    return kind == "boolean" and text.strip().lower() in _LAX_BOOLEAN


def follow(shape: Shape, parts: tuple[Any, ...]) -> Shape | Gap:
    """Return what a path leads to; a `Gap` where no variant has it.

    Args:
        shape: where it starts.
        parts: as of an expression's path: names, numbers, ``WILDCARD``, ``COMPUTED``.
    """
    at = [shape]
    spread = False
    walked: list[str] = []
    for part in parts:
        below: list[Shape] = []
        known: dict[str, None] = {}
        for variant in (variant for each in at for variant in variants(each)):
            below.extend(_below(variant, part))
            known.update(dict.fromkeys(names_in(variant)))
        if not below:
            standing = " or ".join(dict.fromkeys(words(each) for each in at)) or "nothing"
            return Gap(_written(part), tuple(walked), tuple(known), standing)
        spread = spread or part is WILDCARD
        if any(each is ANYTHING for each in below):
            return LIST if spread else ANYTHING
        at = below
        walked.append(_written(part))
    if spread:
        return LIST
    return at[0] if len(at) == 1 else _either(at)


def _either(shapes: list[Shape]) -> Shape:
    roots = {id(shape.root) for shape in shapes}
    return shapes[0].within({"anyOf": [shape.schema for shape in shapes]}) if len(roots) == 1 else ANYTHING


def _written(part: Any) -> str:
    return "*" if part is WILDCARD else "[…]" if part is COMPUTED else str(part)


def names_in(variant: Shape) -> list[str]:
    """Return the names of the fields that one variant declares."""
    schema = variant.schema
    return list(schema.get("properties", ())) if isinstance(schema, dict) else []


def _below(variant: Shape, part: Any) -> Iterator[Shape]:
    kind = kind_of(variant)
    if kind is None:
        yield ANYTHING
    elif kind == "array":
        if part is WILDCARD or part is COMPUTED or isinstance(part, (int, float)):
            yield _item(variant, part)
    elif kind == "object":
        if part is WILDCARD or part is COMPUTED:
            yield ANYTHING
        else:
            found = _field(variant, str(part))
            if found is not None:
                yield found


def _item(variant: Shape, part: Any) -> Shape:
    schema = variant.schema
    first = schema.get("prefixItems")
    if isinstance(first, list):
        number = int(part) if isinstance(part, (int, float)) else -1
        return variant.within(first[number]) if 0 <= number < len(first) else ANYTHING
    items = schema.get("items", True)
    return ANYTHING if not isinstance(items, dict) or not items else variant.within(items)


def _field(variant: Shape, name: str) -> Shape | None:
    schema = variant.schema
    properties = schema.get("properties")
    if isinstance(properties, dict):
        # the language does not mind the case of a name
        found = properties.get(
            name, next((properties[key] for key in properties if key.lower() == name.lower()), None)
        )
        if found is not None:
            return ANYTHING if found is True or found == {} else variant.within(found)
    more = schema.get("additionalProperties")
    if isinstance(more, dict) and more:
        return variant.within(more)
    if more is None and properties is not None and "patternProperties" not in schema:
        # a model without a word about others returns these fields and no more
        return None
    return None if more is False and "patternProperties" not in schema else ANYTHING


def of_input(spec: InputSpec) -> dict[str, Any]:
    """Return the JSON Schema of a declared input, as far as types go."""
    schema: dict[str, Any]
    match spec.type:
        case "integer" | "number" | "boolean" | "object":
            schema = {"type": spec.type}
        case "choice":
            schema = {"enum": list(spec.options)}
        case "list":
            schema = {"type": "array", "items": of_input(spec.items) if spec.items else True}
        case _:
            schema = {"type": "string"}
    optional = not spec.required and not (spec.has_default and spec.default is not None)
    return {"anyOf": [schema, {"type": "null"}]} if optional else schema
