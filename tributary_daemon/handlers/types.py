"""Types of signatures by name, so that graphs can be inferred from them, here and from the registry."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any, Final

import typing_extensions
from pydantic import BaseModel

from tributary_daemon.errors import HandlerError

_LOCAL: Final = "<locals>."


class UnresolvedTypeError(HandlerError):
    """A type named in a signature does not exist yet; it may once its module is imported to the end."""


def type_name(annotation: Any) -> str | None:
    """Return the name of a type that stands for one thing; None for any other.

    These are pydantic models, dataclasses, TypedDicts, enums and NewTypes, as ``module.Class``, and lists of
    them, as ``list[module.Class]``. A plain ``str`` or ``dict`` says nothing about what it holds.
    """
    plain = bare(annotation)
    if typing.get_origin(plain) is list:
        inner = _single(bare(typing.get_args(plain)[0]))
        return None if inner is None else f"list[{inner}]"
    return _single(plain)


def taken_name(annotation: Any) -> str | None:
    """Return the name of what a parameter takes: `type_name`, where ``T | None`` counts as ``T``."""
    plain = without_none(annotation)
    if typing.get_origin(plain) is list:
        inner = _single(without_none(typing.get_args(plain)[0]))
        return None if inner is None else f"list[{inner}]"
    return type_name(plain)


def bare(annotation: Any) -> Any:
    """Return an annotation without ``Annotated``."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def without_none(annotation: Any) -> Any:
    """Return ``T`` for ``T | None``; anything else as it is."""
    plain = bare(annotation)
    if typing.get_origin(plain) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(plain) if member is not type(None)]
        if len(members) == 1:
            return members[0]
    return plain


def _single(annotation: Any) -> str | None:
    named = (
        isinstance(annotation, typing.NewType)
        or typing_extensions.is_typeddict(annotation)
        or (
            isinstance(annotation, type)
            and annotation not in (BaseModel, Enum)
            and (issubclass(annotation, (BaseModel, Enum)) or dataclasses.is_dataclass(annotation))
        )
    )
    if not named:
        return None
    qualified: str = getattr(annotation, "__qualname__", annotation.__name__)
    return f"{annotation.__module__}.{qualified.rpartition(_LOCAL)[2]}"
