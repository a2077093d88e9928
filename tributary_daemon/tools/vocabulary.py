"""Every key of the language with all that is known of it, from the table that the checks read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import NotFound
from tributary_daemon.spec import fields
from tributary_daemon.spec.foreign import FOREIGN
from tributary_daemon.spec.nearest import nearest
from tributary_daemon.spec.nodes import plain_value
from tributary_daemon.tools.examples import SECTIONS as EXAMPLES
from tributary_daemon.tools.examples import Example

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_BARE = re.compile(r"[A-Za-z0-9./][A-Za-z0-9_./-]*")
_SHARED: Final = ("defaults",)
"""What holds nothing but keys of a step."""


@dataclass(frozen=True, slots=True)
class Word:
    """A key.

    Attributes:
        section: what it is a key of.
        key: as written.
        doc: one sentence.
        form: what its value is, in words.
        default: what holds without it; empty for nothing.
        example: how it is written.
        rules: sentences that hold for it.
        codes: of the faults it can cause.
    """

    section: str
    key: str
    doc: str
    form: str
    default: str
    example: str
    rules: tuple[str, ...]
    codes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The key behind its section: ``step.retry``."""
        return f"{self.section}.{self.key}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "key": self.name,
            "description": self.doc,
            "form": self.form,
            "default": self.default or None,
            "example": self.example or None,
            "rules": list(self.rules),
            "codes": list(self.codes),
        }


def words() -> tuple[Word, ...]:
    """Return every key, section by section: of a workflow, a step, an input, then those inside of them."""
    found: dict[str, dict[str, Word]] = {}
    tables = {"workflow": fields.WORKFLOW, "step": fields.STEP, "input": fields.INPUT}
    for section, table in tables.items():
        found[section] = {
            key: _word(section, key, field.doc, field.kind.schema) for key, field in table.items()
        }
    for table in tables.values():
        for key, field in table.items():
            if key not in found and key not in _SHARED:
                found[key] = {
                    name: _word(key, name, schema.get("description", ""), schema)
                    for name, schema in _inner(field.kind.schema).items()
                }
    return tuple(word for section in found.values() for word in section.values())


def _inner(schema: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the keys of a mapping that a schema allows, alone or in a list or beside something else."""
    if "properties" in schema:
        properties: Mapping[str, Mapping[str, Any]] = schema["properties"]
        return properties
    further = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if isinstance(schema.get("items"), dict):
        further.append(schema["items"])
    for each in further:
        if keys := _inner(each):
            return keys
    return {}


def _word(section: str, key: str, doc: str, schema: Mapping[str, Any]) -> Word:
    known = EXAMPLES.get(section, {}).get(key)
    if known is None:
        shown = schema.get("examples", ())
        known = Example("", f"{key}: {_flow(shown[0])}" if shown else "")
    return Word(section, key, doc, in_words(schema), *known)


def _flow(value: Any) -> str:
    """Return a JSON value on one line of YAML, with quotes only where they are needed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _BARE.fullmatch(value) and plain_value(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def find(text: str) -> tuple[list[Word], str | None]:
    """Return the keys that a text means, and our word for it when it was a foreign one.

    ``retry`` means every key of that name, ``step.retry`` one of them, ``steps.load.retry`` too.

    Raises:
        NotFound: there is none; the hint names what is nearest.
    """
    known = words()
    section, _, key = text.strip().strip("`:").rpartition(".")
    section = section.partition(".")[0].removesuffix("s") or section
    found = [word for word in known if word.key.lower() == key.lower() and section in ("", word.section)]
    if found:
        return found, None
    ours = FOREIGN.get(key.lower().replace("-", "_"))
    if ours is not None:
        return [word for word in known if word.key == ours], ours
    raise NotFound(f"the language has no key {text!r}", hint=_hint(key, [word.key for word in known]))


def _hint(key: str, known: Collection[str]) -> str:
    near = nearest(key, known)
    return f"did you mean {near}? " if near else ""


def in_words(schema: Mapping[str, Any]) -> str:
    """Return what a JSON Schema allows, in words."""
    if "enum" in schema:
        return f"one of {', '.join(f'`{word}`' for word in schema['enum'])}"
    if "allOf" in schema:
        return in_words(schema["allOf"][0])
    if "$ref" in schema:
        return f"a mapping: the keys of {_article(schema['$ref'].rpartition('/')[2])}"
    if "properties" in schema:
        return _mapping(schema)
    if "oneOf" in schema or "anyOf" in schema:
        return _alternatives(schema.get("anyOf") or schema["oneOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _joined([_OF_TYPE.get(str(word), str(word)) for word in kind])
    if kind == "object":
        return _mapping(schema)
    if kind == "array":
        return f"a list of: {in_words(schema['items'])}" if schema.get("items") else "a list"
    if kind in ("integer", "number"):
        return _number(schema, "a whole number" if kind == "integer" else "a number")
    if kind == "string" and "format" in schema:
        return "a time such as `2026-03-01T06:00:00Z`"
    return _OF_TYPE.get(str(kind), "any value")


_OF_TYPE: Final = {
    "string": "text",
    "boolean": "`true` or `false`",
    "object": "a mapping",
    "array": "a list",
    "number": "a number",
    "integer": "a whole number",
    "null": "nothing",
}


def _alternatives(schemas: Collection[Mapping[str, Any]]) -> str:
    if any("ms|[dhms]" in str(schema.get("pattern", "")) for schema in schemas):
        rest = [
            schema
            for schema in schemas
            if schema.get("type") != "number" and "ms|[dhms]" not in str(schema.get("pattern", ""))
        ]
        return _joined(["a duration such as `30s`, `5m`, `1h30m`", *map(in_words, rest)])
    return _joined([in_words(schema) for schema in schemas])


def _joined(parts: Collection[str]) -> str:
    return ", or ".join(dict.fromkeys(parts))


def _mapping(schema: Mapping[str, Any]) -> str:
    if keys := schema.get("properties"):
        return f"a mapping with {', '.join(f'`{key}`' for key in keys)}"
    by_id = [inner for pattern, inner in schema.get("patternProperties", {}).items() if pattern != "^x-"]
    if by_id and "$ref" in by_id[0]:
        return f"a mapping of ids, each to {_article(by_id[0]['$ref'].rpartition('/')[2])}"
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict) and "type" in inner:
        return "a mapping of names to texts"
    return "a mapping"


def _article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def _number(schema: Mapping[str, Any], what: str) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return what
    if most is None:
        return f"{what} from {least:,}"
    return f"{what}, {least:,} to {most:,}"
