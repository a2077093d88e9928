"""What handlers take and make, by the names of types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.handlers import marks

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.spec.signatures import Known

_LIST: Final = re.compile(r"list\[\s*(.+?)\s*\]")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a handler asks for.

    Attributes:
        name: of the parameter; ``payload`` for one that takes the whole payload.
        type: name of its type; None for one that no graph can fill.
        required: False where the handler has a default.
        gaps: it takes a list in which None may stand in the place of an item.
    """

    name: str
    type: str | None
    required: bool = True
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Maker:
    """A handler as a way from types to a type.

    Attributes:
        name: of the handler.
        makes: name of the type it returns.
        parameters: in the order of its signature.
        whole: its one parameter takes the whole payload.
        served: False if no worker has it now.
    """

    name: str
    makes: str
    parameters: tuple[Parameter, ...] = field(default_factory=tuple)
    whole: bool = False
    served: bool = True


def element(name: str) -> str | None:
    """Return ``T`` for ``list[T]``, None for a type that is no list."""
    found = _LIST.fullmatch(name)
    return found[1] if found else None


def list_of(name: str) -> str:
    """Return ``list[T]`` for ``T``."""
    return f"list[{name}]"


def maker_of(known: Known) -> Maker | None:
    """Return how a handler makes a named type; None when it makes none."""
    makes = known.output_schema.get(marks.TYPE)
    if not isinstance(makes, str):
        return None
    parameters = tuple(parameters_of(known.input_schema))
    return Maker(known.name, makes, parameters, whole=_is_whole(known.input_schema), served=known.served)


def types_of(known: Known) -> list[str]:
    """Return the names of all types that a handler takes or makes, without ``list[ ]``."""
    found = [parameter.type for parameter in parameters_of(known.input_schema)]
    found.append(known.output_schema.get(marks.TYPE))
    return [element(name) or name for name in found if isinstance(name, str)]


def parameters_of(schema: dict[str, Any]) -> list[Parameter]:
    """Return what a handler asks for, from the JSON Schema of its payload."""
    if _is_whole(schema):
        mark = schema.get(marks.TYPE)
        return [Parameter("payload", mark if isinstance(mark, str) else None)]
    required: Collection[str] = schema.get("required", ())
    return [
        Parameter(name, value.get(marks.TYPE), name in required, _has_gaps(value))
        if isinstance(value, dict)
        else Parameter(name, None, name in required)
        for name, value in schema.get("properties", {}).items()
    ]


def _has_gaps(schema: dict[str, Any]) -> bool:
    """Return whether a list may have null items; of a list or null, the list counts."""
    lists = [schema, *schema.get("anyOf", ())]
    return any({"type": "null"} in each["items"].get("anyOf", ()) for each in lists if "items" in each)


def _is_whole(schema: dict[str, Any]) -> bool:
    # parameters that bind by name refuse what they do not know
    return marks.TYPE in schema or schema.get("additionalProperties") is not False


def resolve_type(written: str, known: Collection[str]) -> list[str]:
    """Return the known types that a written name may mean: the exact one, else all that end in it."""
    inner = element(written)
    if inner is not None:
        return [list_of(name) for name in resolve_type(inner, known)]
    if written in known:
        return [written]
    return sorted(name for name in known if name.endswith(f".{written}"))
