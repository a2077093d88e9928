"""The version of a function whose decorator declares none: a hash of its source."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

_LENGTH: Final = 16


def of(function: Callable[..., Any], since: float) -> str:
    """Return ``source:HASH``, or ``code:HASH`` where the source is not at hand any more.

    Args:
        function: the code, decorators below the one of the handler looked through.
        since: seconds since 1970 when it was loaded: what a file has held since then may be other code.
    """
    plain = inspect.unwrap(function)
    if (source := _source(plain, since)) is not None:
        return f"source:{_hash(source)}"
    return f"code:{_hash(repr(list(_parts(plain.__code__))))}"


def _source(function: Any, since: float) -> str | None:
    try:
        path = inspect.getsourcefile(function)
        if path is None or (Path(path).exists() and Path(path).stat().st_mtime > since):
            return None
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        # typed in, made by exec, or only there as bytecode
        return None


def _parts(code: CodeType) -> Iterator[Any]:
    """Yield what makes compiled code what it is, without the places that it was compiled from."""
    yield code.co_code
    yield code.co_names
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _parts(constant)
        else:
            # the order of a set is not the same in each process
            yield sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_LENGTH]
