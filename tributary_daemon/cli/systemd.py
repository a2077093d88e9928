"""The systemd of this machine: whether it runs, where its units lie, and what it is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import NotPossible

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNNING: Final = Path("/run/systemd/system")
"""A directory that exists as long as systemd is the first process: sd_booted(3) asks for it."""

_OF_THE_SYSTEM: Final = Path("/etc/systemd/system")


def folder(*, user: bool, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where units of the system, or of this user, lie."""
    if not user:
        return _OF_THE_SYSTEM
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path("~/.config").expanduser()) / "systemd" / "user"


def runs() -> bool:
    """Return whether systemd runs here."""
    return RUNNING.is_dir() and shutil.which("systemctl") is not None


def require() -> None:
    """Refuse a machine that has no systemd at all; it need not run yet (an image is being built).

    Raises:
        NotPossible: there is none.
    """
    if shutil.which("systemctl") is None:
        where = "systemd is not installed: there is no `systemctl`"
        raise NotPossible(
            where if sys.platform == "linux" else f"{where}, and it exists for Linux only",
            hint="`trib service print` shows the unit; --directory DIR writes it for another machine",
        )


def control(*words: str, user: bool) -> str:
    """Run ``systemctl`` and return what it printed; it is waited for, however long a drain takes.

    Raises:
        NotPossible: it failed; the message has what it said.
    """
    command = ["systemctl", *(["--user"] if user else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if done.returncode != 0:
        said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise NotPossible(f"`{' '.join(command)}` failed: {said}", hint=_hint(user=user))
    return done.stdout


def write(path: Path, text: str) -> None:
    """Write a unit as a whole: systemd sees the old one or the new one, never half of one.

    Raises:
        NotPossible: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            half = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                half.chmod(0o644)
                half.replace(path)
            except BaseException:
                half.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise refused("write", path, error) from error


def read(path: Path) -> str | None:
    """Return the text of a unit, None when there is none.

    Raises:
        NotPossible: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused("read", path, error) from error


def refused(verb: str, path: Path, error: OSError) -> NotPossible:
    """Return the error of a file that the system did not let be written, read or removed."""
    reason = (error.strerror or str(error)).lower()
    denied = isinstance(error, PermissionError)
    return NotPossible(
        f"cannot {verb} {path}: {reason}",
        hint=_hint(user=False) if denied else "--directory DIR puts the unit elsewhere",
    )


def _hint(*, user: bool) -> str:
    if user:
        return "a session of this user must run: log in as it, or `loginctl enable-linger USER` as root"
    return "use sudo, or --user for a service of your own"
