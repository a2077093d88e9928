"""Reading the text of a workflow file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import InvalidWorkflow, Problem
from tributary_daemon.spec import codes

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 4 * 1024 * 1024
TOO_LARGE: Final = "the workflow is larger than 4 MiB"
_TOO_LARGE_HINT: Final = "move data out of it: pass a path or a URL"


def is_there(path: Path) -> bool:
    """Return whether there is something at a path; a name too long for any file is none."""
    try:
        return path.exists()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Return whether a path is that of a file; what is too long for one, as a name may be, is not."""
    try:
        return path.is_file()
    except OSError:
        return False


class Unreadable(Exception):  # noqa: N818 - told to the user as a problem of a file
    """A file is not there, is no file, or is not text.

    Args:
        message: what is wrong.
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def of(self, file: str) -> InvalidWorkflow:
        """Return the error for a file that was named by the user."""
        return InvalidWorkflow([Problem(codes.UNREADABLE, self.message, file=file, hint=self.hint)])


def read_source(path: Path) -> str:
    """Return the text of a file: a regular one or a pipe, UTF-8, at most 4 MiB.

    Raises:
        Unreadable: it has no such text.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable("there is no such file", "check the path; `trib list` shows names of runs") from None
    except IsADirectoryError:
        raise Unreadable("this is a directory", "name one file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(f"the file cannot be read: {reason}", "check the path and its permissions") from None
    if len(raw) > MAX_BYTES:
        raise too_large()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unreadable(
            f"the file is not UTF-8: byte {error.start}, line {line}", "save it as UTF-8"
        ) from None


def too_large() -> Unreadable:
    """Return the error for a text of more than ``MAX_BYTES``."""
    return Unreadable(TOO_LARGE, _TOO_LARGE_HINT)
