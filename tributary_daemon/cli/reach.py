"""What a service of the system, under an account of its own, cannot reach of an installation."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOMES: Final = tuple(map(Path, ("/home", "/root", "/run/user")))
_PRIVATE: Final = tuple(map(Path, ("/tmp", "/var/tmp")))  # noqa: S108 - looked at, not written
_MODULES: Final = Path(__file__).resolve().parent.parent


def needed(files: Iterable[Path]) -> list[Path]:
    """Return what must be reachable: the program, its interpreter, its modules, and files of handlers."""
    python = Path(sys.executable)
    return [python.absolute(), python.resolve(), _MODULES, *files]


def below_home(paths: Iterable[Path]) -> bool:
    """Return whether one of them lies where ``ProtectHome=yes`` shows nothing."""
    return any(path.is_relative_to(home) for path in paths for home in _HOMES)


def obstacles(paths: Iterable[Path]) -> list[str]:
    """Return a sentence for every place that keeps the account of a service from one of ``paths``."""
    found: dict[str, None] = {}
    for path in paths:
        hidden = next((place for place in _PRIVATE if path.is_relative_to(place)), None)
        closed = next((place for place in reversed(path.parents) if not _open(place)), None)
        if hidden is not None:
            found[f"{path} will not be found: a service has a {hidden} of its own"] = None
        elif closed is not None:
            found[f"{path} cannot be reached by the service: {closed} is closed to other accounts"] = None
    return list(found)


def _open(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & stat.S_IXOTH)
    except OSError:
        return False
