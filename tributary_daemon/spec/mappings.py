"""Mappings whose keys the language knows: how they are read, and their JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon.spec import codes
from tributary_daemon.spec.foreign import FOREIGN, HOMES
from tributary_daemon.spec.kinds import INVALID, Kind, refuse_type
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

Fields = dict[str, "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """A key of the language.

    Attributes:
        kind: what its value is.
        doc: one sentence, shown in editors.
        examples: values that may stand there.
    """

    kind: Kind
    doc: str
    examples: tuple[Any, ...]


def read_fields(node: Mapping, fields: Fields, where: str, problems: Problems) -> dict[str, Any]:
    """Return the valid values of a mapping by key; every other pair is reported.

    Args:
        node: the mapping.
        fields: the keys it may have; ``x-*`` is free.
        where: what it is, in words: ``a step``.
        problems: the collector.
    """
    values: dict[str, Any] = {}
    for name, (key, value) in node.pairs.items():
        field = fields.get(name)
        if field is None:
            if not name.startswith("x-"):
                _unknown(key, fields, where, problems)
        elif (read := field.kind.read(value, name, problems)) is not INVALID:
            values[name] = read
    return values


def _unknown(key: Scalar, fields: Fields, where: str, problems: Problems) -> None:
    word = str(key.value)
    allowed = [*fields, "x-*"]

    def hint() -> str:
        foreign = FOREIGN.get(word.lower().replace("-", "_"))
        if foreign is None:
            home = HOMES.get(word)
            if home is not None and home not in where:
                return f"`{word}` is a key of {home}; known: {', '.join(allowed)}"
            return suggest(word, list(fields), shown=allowed)
        if " " not in foreign:
            elsewhere = "" if foreign in fields or foreign not in HOMES else f" of {HOMES[foreign]}"
            foreign = f"Tributary says `{foreign}`{elsewhere}"
        return f"{foreign}; known: {', '.join(allowed)}"

    problems.error(codes.UNKNOWN_KEY, f"unknown key {word!r} in {where}", key, hint=hint)


def mapping_of(fields: Fields, where: str, *, required: tuple[str, ...] = (), example: str = "") -> Kind:
    """Return the kind of mappings with these keys.

    Args:
        fields: the keys.
        where: what it is, in words.
        required: keys that must be there.
        example: shown to who left one out.
    """

    def read(node: Node, key: str, problems: Problems) -> Any:
        if not isinstance(node, Mapping):
            hint = example or f"keys: {', '.join(fields)}"
            return refuse_type(node, key, "a mapping", problems, hint=hint)
        values = read_fields(node, fields, where, problems)
        missing = [name for name in required if name not in node.pairs]
        if missing:
            words = " and ".join(f"`{name}`" for name in missing)
            problems.error(codes.MISSING_KEY, f"{where} has no {words}", node, hint=example or None)
            return INVALID
        return values if all(name in values for name in required) else INVALID

    return Kind(mapping_schema(fields, required=required), read)


def mapping_schema(fields: Fields, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the JSON Schema of a mapping with these keys."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: field_schema(field) for name, field in fields.items()},
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


def field_schema(field: Field) -> dict[str, Any]:
    """Return the JSON Schema of a key: its kind's, with the sentence and the examples for editors."""
    # keys beside $ref count for nothing in draft-07
    kind = {"allOf": [field.kind.schema]} if "$ref" in field.kind.schema else field.kind.schema
    return {"description": field.doc, **kind, "examples": list(field.examples)}
