"""What is kept of an error that nobody expected."""

from __future__ import annotations

import os
import tempfile
import traceback

import click


def text(error: BaseException) -> str:
    """Return the traceback of ``error`` as text."""
    return "".join(traceback.format_exception(error)).rstrip()


def keep(error: BaseException, *, show: bool) -> str:
    """Show the traceback, or keep it in a file of the user's own.

    Args:
        error: what nobody expected.
        show: print the traceback on stderr instead of keeping it.

    Returns:
        The hint to print below the error.
    """
    if show:
        click.echo(text(error), err=True)
        return "this is a fault of trib; please report it with the traceback above"
    try:
        descriptor, name = tempfile.mkstemp(prefix="trib-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text(error) + "\n")
    except OSError:
        return "this is a fault of trib; TRIB_DEBUG=1 shows the traceback"
    return f"this is a fault of trib; the traceback is in {name} (TRIB_DEBUG=1 shows it)"
