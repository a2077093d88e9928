"""JSON as it is stored: payloads, results and progress to text and back, with refusals that name the path.

The way that goes well is one call into pydantic's serializer and a few scans of its bytes. Only a refusal
looks at the value again, to say where the fault lies (``payload.items[3].name``).

Keys that are not strings become their text, as pydantic writes them (``1`` -> ``"1"``).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic_core import PydanticSerializationError, from_json, to_json

from tributary_daemon.errors import CodecError

MAX_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 200
_KIB: Final = 1024

_PLAIN: Final = frozenset({str, int, bool, type(None)})
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
_FOLD: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def dumps(value: Any, *, what: str = "payload", max_bytes: int = MAX_BYTES) -> str:
    """Return ``value`` as JSON text that PostgreSQL's ``jsonb`` keeps without loss.

    Args:
        value: anything pydantic can serialise: JSON values, models, dataclasses, datetimes, UUIDs, enums …
        what: what the value is to the reader of an error; the root of the path that it names.
        max_bytes: longest text, in UTF-8 bytes.

    Raises:
        CodecError: NUL characters, lone surrogates, NaN or infinity, nesting past 200, too large,
            or a type that JSON cannot hold; the message names the path.
    """
    try:
        data = to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError as error:
        raise _refusal(value, what, str(error)) from error
    except RecursionError as error:
        raise _too_deep(what) from error
    return check(data, value, what=what, max_bytes=max_bytes)


def check(data: bytes, value: Any, *, what: str = "payload", max_bytes: int = MAX_BYTES) -> str:
    """Return serialised ``data`` as text, or refuse it as `dumps` does.

    Args:
        data: UTF-8 JSON that a pydantic serializer made of ``value``.
        value: the source of ``data``, looked at only to find what it cannot show: where a fault lies, and
            NaN that a model has written as null.
        what: see `dumps`.
        max_bytes: see `dumps`.

    Raises:
        CodecError: see `dumps`.
    """
    if len(data) > max_bytes:
        raise _too_large(len(data), what, max_bytes)
    if b"\\u0000" in data and _NUL.search(data):
        raise _refusal(value, what, "it contains a NUL character")
    # models write NaN as null, everything else as a bare word; both also occur in innocent documents
    if (b"null" in data or b"NaN" in data or b"Infinity" in data) and _has_non_finite(value):
        raise _refusal(value, what, "it contains NaN or infinity")
    if len(data) > MAX_DEPTH and data.count(b"[") + data.count(b"{") > MAX_DEPTH and depth(data) > MAX_DEPTH:
        raise _too_deep(what)
    return data.decode()


def loads(text: str | bytes, *, what: str = "payload") -> Any:
    """Return the value of JSON text.

    Args:
        text: JSON, as stored or as a user wrote it.
        what: what the text is to the reader of an error.

    Raises:
        CodecError: it is not JSON, holds NaN, infinity or a lone surrogate, or is nested past 200.
    """
    try:
        # encoded here: pydantic takes text with a lone surrogate for no text at all
        return from_json(text.encode() if isinstance(text, str) else text, allow_inf_nan=False)
    except UnicodeEncodeError as error:
        raise CodecError(
            f"{what} contains a lone surrogate (position {error.start}), which is not valid text",
            hint="decode the text with the right encoding",
        ) from error
    except ValueError as error:
        if "recursion limit" in str(error):
            raise _too_deep(what) from error
        raise CodecError(
            f"{what} is not valid JSON: {error}", hint="strings and keys need double quotes"
        ) from error


def depth(data: bytes) -> int:
    """Return how deeply arrays and objects are nested in serialised JSON; 0 for a scalar.

    Each pass takes off the innermost brackets at C speed, at most `MAX_DEPTH` + 1 of them.
    """
    brackets = _STRING.sub(b"", data).translate(_FOLD, _NOT_BRACKETS)
    passes = 0
    while brackets and passes <= MAX_DEPTH:
        brackets = brackets.replace(b"[]", b"")
        passes += 1
    return passes


def _too_deep(what: str) -> CodecError:
    return CodecError(
        f"{what} is nested more than {MAX_DEPTH} levels deep",
        hint="flatten it, or store the document elsewhere and pass a reference to it",
    )


def _too_large(size: int, what: str, limit: int) -> CodecError:
    return CodecError(
        f"{what} is {_size(size)} as JSON, more than the {_size(limit)} allowed",
        hint="store the data elsewhere (file, object store, table) and pass a reference to it",
    )


def _size(count: int) -> str:
    if count < _KIB:
        return f"{count} bytes"
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KiB ({count:,} bytes)"
    return f"{count / _KIB / _KIB:.2f} MiB ({count:,} bytes)"


def _has_non_finite(value: Any) -> bool:
    """Return whether NaN or infinity is anywhere in a serialisable value; quick, as it needs no path."""
    stack = [value]
    while stack:
        part = stack.pop()
        kind = type(part)
        if kind in _PLAIN:
            continue
        if kind is float:
            if not math.isfinite(part):
                return True
        elif kind is dict:
            stack.extend(part.values())
        elif kind is list:
            stack.extend(part)
        elif isinstance(part, float):
            stack.append(float(part))
        elif (children := _children("", part)) is not None:
            stack.extend(child for _, child in children)
    return False


def _refusal(value: Any, what: str, reason: str) -> CodecError:
    """Return the error for a value that was refused for ``reason``, naming the part that is at fault."""
    try:
        for path, part in _walk(value, what):
            if fault := _fault(path, part):
                return fault
    except _TooDeepError:
        return _too_deep(what)
    except _CircularError as error:
        return CodecError(f"{error} contains itself", hint="pass a tree, not a graph")
    return CodecError(f"{what} cannot be stored as JSON: {reason.partition(': ')[2] or reason}")


def _fault(path: str, part: Any) -> CodecError | None:
    match part:
        case str():
            if "\x00" in part:
                return CodecError(
                    f"{path} contains a NUL character, which PostgreSQL cannot store",
                    hint="remove it, or encode the data (base64)",
                )
            try:
                part.encode()
            except UnicodeEncodeError as error:
                return CodecError(
                    f"{path} contains a lone surrogate (position {error.start}), which is not valid text",
                    hint="decode the text with the right encoding, or encode the data (base64)",
                )
        case float() if not math.isfinite(part):
            return CodecError(f"{path} is {part}, which JSON cannot hold", hint="use null, or a string")
        case bytes() | bytearray():
            try:
                part.decode()
            except UnicodeDecodeError:
                return CodecError(
                    f"{path} holds bytes that are not UTF-8 text", hint="encode the data (base64)"
                )
        case dict() | list() | tuple() | set() | frozenset():
            return None
        case _ if _is_model(part):
            return None
        case _ if not dataclasses.is_dataclass(part):
            try:
                to_json(part)
            except PydanticSerializationError:
                kind = type(part)
                name = kind.__qualname__ if kind.__module__ == "builtins" else _dotted(kind)
                return CodecError(
                    f"{path} is of type {name}, which cannot be stored as JSON",
                    hint="use JSON values, pydantic models, dataclasses, datetimes, UUIDs or enums",
                )
    return None


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _TooDeepError(Exception):
    """A value is nested deeper than `MAX_DEPTH`."""


class _CircularError(Exception):
    """A container holds itself; the argument is its path."""


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each part of a value with its path, outermost first, keys included."""
    stack: list[tuple[str, Any, tuple[int, ...]]] = [(path, value, ())]
    while stack:
        here, part, above = stack.pop()
        yield here, part
        children = _children(here, part)
        if children is None:
            continue
        if id(part) in above:
            raise _CircularError(here)
        if len(above) >= MAX_DEPTH:
            raise _TooDeepError
        below = (*above, id(part))
        stack.extend((name, child, below) for name, child in reversed(children))


def _children(here: str, part: Any) -> list[tuple[str, Any]] | None:
    match part:
        case Mapping():
            found = []
            for key, child in part.items():
                if not isinstance(key, int):
                    found.append((f"a key of {here}", key))
                found.append((_member(here, key), child))
            return found
        case list() | tuple() | set() | frozenset():
            return [(f"{here}[{index}]", child) for index, child in enumerate(part)]
        case _ if _is_model(part):
            members = {**vars(part), **(part.model_extra or {})}
            return [(_member(here, key), child) for key, child in members.items()]
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return [(_member(here, f.name), getattr(part, f.name)) for f in dataclasses.fields(part)]
    return None


def _member(here: str, key: object) -> str:
    text = str(key)
    return f"{here}.{text}" if _IDENTIFIER.fullmatch(text) else f"{here}[{text!r}]"


def _is_model(part: Any) -> bool:
    """Return whether a value is a pydantic model; asked so that what only reads imports no pydantic."""
    return hasattr(type(part), "__pydantic_serializer__") and hasattr(part, "model_extra")
