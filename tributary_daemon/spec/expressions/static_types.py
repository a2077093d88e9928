"""What a value may be, as a JSON Schema says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.values import fold, kind_of, to_number, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KINDS: Final = {
    "null": "Null",
    "boolean": "Boolean",
    "integer": "Number",
    "number": "Number",
    "string": "String",
    "array": "Array",
    "object": "Object",
}
# what restricts a value in ways that are not followed here
_TOO_CLEVER: Final = frozenset({"if", "not", "$dynamicRef", "$recursiveRef", "dependentSchemas"})
_MOST_REFERENCES: Final = 32
_MOST_VARIANTS: Final = 64


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the ways a value may be.

    Attributes:
        kind: as of `kind_of`.
        values: of a scalar, all that it may be; None when any of its kind.
        schema: of an array or object, what describes its parts; None when nothing does.
        root: the document that the schema's references point into.
        filtered: the type of each element, when ``.*`` made the array.
    """

    kind: str
    values: tuple[Any, ...] | None = None
    schema: Mapping[str, Any] | None = None
    root: Any = None
    filtered: Elements | None = None


# None: anything at all
Type = tuple[Variant, ...] | None


class Elements(NamedTuple):
    """The type of the elements that ``.*`` leads to."""

    type: Type


NULL: Final = Variant("Null", (None,))
BOOLEAN: Final = Variant("Boolean", (True, False))


class NoSuchField(Exception):  # noqa: N818 - says what it says
    """A value can have no such field; ``known`` are those it can have."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__()
        self.known = tuple(known)


def constant(value: Any) -> Type:
    """Return the type of a value that is known."""
    kind = kind_of(value)
    return (Variant(kind, None if kind in {"Array", "Object"} else (value,)),)


def of_kind(kind: str) -> Variant:
    """Return the variant of any value of a kind."""
    return {"Null": NULL, "Boolean": BOOLEAN}.get(kind) or Variant(kind)


def union(types: Iterable[Type]) -> Type:
    """Return the type of what may be any of these."""
    found: list[Variant] = []
    for each in types:
        if each is None:
            return None
        found.extend(variant for variant in each if variant not in found)
        if len(found) > _MOST_VARIANTS:
            return None
    # nothing at all is what a schema without sense says
    return tuple(found) or None


def without_null(given: Type) -> Type:
    """Return a type less null."""
    return given if given is None else tuple(variant for variant in given if variant.kind != "Null")


def type_of(schema: Any, root: Any, hops: int = 0) -> Type:
    """Return the type that a JSON Schema describes; unknown where it says more than is followed here.

    Args:
        schema: of the value.
        root: the document that it is part of.
        hops: references and alternatives gone through so far.
    """
    if not isinstance(schema, dict) or hops > _MOST_REFERENCES or not _TOO_CLEVER.isdisjoint(schema):
        return None
    if "$ref" in schema:
        return type_of(_pointed_at(schema["$ref"], root), root, hops + 1)
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            # parts that must hold together are not merged
            if "properties" in schema or (word == "allOf" and len(schema[word]) != 1):
                return None
            return union(type_of(each, root, hops + 1) for each in schema[word])
    if "const" in schema:
        return constant(schema["const"])
    if "enum" in schema:
        return _of_values(schema["enum"])
    return _of_words(schema, root)


def _of_words(schema: Mapping[str, Any], root: Any) -> Type:
    words = schema.get("type")
    if words is None:
        words = "object" if "properties" in schema else "array" if "items" in schema else ()
    kinds = [_KINDS.get(word) for word in ([words] if isinstance(words, str) else words)]
    if not kinds or None in kinds:
        return None
    return tuple(
        Variant(kind, schema=schema, root=root) if kind in {"Array", "Object"} else of_kind(kind)
        for kind in dict.fromkeys(kinds)
        if kind is not None
    )


def _of_values(values: list[Any]) -> Type:
    found: dict[str, list[Any]] = {}
    for value in values:
        try:
            found.setdefault(kind_of(value), []).append(value)
        except ExpressionError:
            return None
    return tuple(
        Variant(kind, None if kind in {"Array", "Object"} else tuple(same)) for kind, same in found.items()
    )


def _pointed_at(pointer: Any, root: Any) -> Any:
    if not isinstance(pointer, str) or not pointer.startswith("#"):
        return None
    found = root
    for part in pointer[1:].split("/")[1:]:
        if not isinstance(found, dict):
            return None
        found = found.get(part.replace("~1", "/").replace("~0", "~"))
    return found


def field(given: Type, part: Any) -> Type:
    """Return the type of ``value[part]``.

    Raises:
        NoSuchField: whatever the value is, there is none.
    """
    if given is None:
        return None
    found: list[Type] = []
    known: list[str] = []
    for variant in given:
        try:
            found.append(_field_of(variant, part))
        except NoSuchField as error:
            known.extend(error.known)
    if not found:
        raise NoSuchField(dict.fromkeys(known))
    # what one of the alternatives lacks is null there
    lacking = len(found) < len(given) and given != (NULL,)
    return union([*found, (NULL,)] if lacking else found)


def _field_of(variant: Variant, part: Any) -> Type:
    if variant.filtered is not None:
        return (Variant("Array", filtered=Elements(without_null(field(variant.filtered.type, part)))),)
    if variant.kind == "Object":
        return _property(variant, to_text(part))
    if variant.kind == "Array":
        return _element(variant, to_number(part))
    raise NoSuchField(())


def _property(variant: Variant, name: str) -> Type:
    schema = variant.schema or {}
    properties = schema.get("properties")
    names = properties if isinstance(properties, dict) else {}
    key = name if name in names else next((key for key in names if fold(key) == fold(name)), None)
    if key is not None:
        found = type_of(names[key], variant.root)
        return found if key in schema.get("required", ()) else union([found, (NULL,)])
    if "patternProperties" in schema or "unevaluatedProperties" in schema:
        return None
    # a model that names its fields has no others, unless it says so; a bare object may have any
    others = schema.get("additionalProperties", properties is None)
    if others is False:
        raise NoSuchField(names)
    return union([type_of(others, variant.root), (NULL,)])


def _element(variant: Variant, number: float) -> Type:
    schema = variant.schema or {}
    first = schema.get("prefixItems", ())
    most = schema.get("maxItems", len(first) if schema.get("items") is False else math.inf)
    if not 0 <= number < most:
        raise NoSuchField(())
    described = first[int(number)] if number < len(first) else schema.get("items")
    return union([type_of(described, variant.root), (NULL,)])


def elements(given: Type) -> Type:
    """Return the type of ``value.*``.

    Raises:
        NoSuchField: it has no elements, whatever it is.
    """
    if given is None:
        return None
    found = [_elements_of(variant) for variant in given if variant.kind in {"Array", "Object"}]
    if not found:
        raise NoSuchField(())
    return (Variant("Array", filtered=Elements(union(found))),)


def _elements_of(variant: Variant) -> Type:
    if variant.filtered is not None:
        inner = elements(variant.filtered.type)
        return inner if inner is None else union(each.filtered.type for each in inner if each.filtered)
    schema = variant.schema or {}
    if variant.kind == "Array":
        described = [*schema.get("prefixItems", ()), *([schema["items"]] if "items" in schema else [])]
        return union(type_of(each, variant.root) for each in described) if described else None
    properties = schema.get("properties")
    if not isinstance(properties, dict) or schema.get("additionalProperties", False) is not False:
        return None
    return union(type_of(each, variant.root) for each in properties.values())
