"""From an exception to what the user reads on stderr and the exit code of the process."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final

import click

from tributary_daemon.cli.loader import late
from tributary_daemon.errors import InvalidWorkflow, TributaryError

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPLETED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_ENDED: Final = 5
CANCELLED: Final = 6
DATABASE: Final = 7
INTERNAL: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_POSSIBILITIES = re.compile(
    r"\.?\s*(?:\(Possible options: (?P<many>.*)\)|\(?Did you mean (?:one of: )?(?P<one>.*?)\?\)?)\s*$"
)


def report(error: BaseException) -> int:
    """Print what went wrong on stderr and return the exit code.

    Expected errors give one message and a hint; anything else is an internal error, whose traceback
    is kept in a file, and shown with ``TRIB_DEBUG=1``.
    """
    match error:
        case InvalidWorkflow():
            say_refused(error)
            return error.exit_code
        case TributaryError():
            say_error(error.message, error.hint)
            if debugging():
                say(late("internal:text")(error))
            return error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            say(error.format_message())
            return USAGE
        case click.UsageError():
            message, hint = _usage(error)
            say_error(message, hint)
            return USAGE
        case click.ClickException():
            say_error(error.format_message())
            return USAGE
        case click.Abort() | KeyboardInterrupt():
            click.echo("interrupted", err=True)
            return INTERRUPTED
        case _:
            message = f"internal error: {type(error).__name__}: {error}"
            say_error(message, late("internal:keep")(error, show=debugging()))
            return INTERNAL


def say_error(message: str, hint: str | None = None) -> None:
    """Print ``error: message`` and, indented below it, the hint."""
    click.echo(f"{mark('error:', 'red')} {message}", err=True)
    if hint:
        click.echo(f"{mark('hint:', 'cyan')} {hint}", err=True)


def say_refused(error: InvalidWorkflow) -> None:
    """Print every problem of a workflow with its place, then how many there are."""
    say(error.message)
    count = len(error.problems)
    files = ", ".join(dict.fromkeys(problem.file for problem in error.problems if problem.file))
    place = f" in {files}" if files else ""
    say_error(
        f"{count} problem{'s' if count != 1 else ''}{place}; nothing was stored",
        f"`trib explain {error.problems[0].code}` explains a code" if error.problems else None,
    )


def say_warnings(messages: Iterable[str]) -> None:
    """Print each warning on stderr; those about a place in a file say `warning` themselves."""
    for message in messages:
        placed = ": warning: " in message.partition("\n")[0]
        say(message if placed else f"{mark('warning:', 'yellow')} {message}")


def say(message: str) -> None:
    """Print a message on stderr, where it cannot be mistaken for data."""
    click.echo(message, err=True)


def mark(word: str, colour: str) -> str:
    """Return ``word`` in bold colour for a terminal that wants colours, else as it is."""
    return click.style(word, fg=colour, bold=True) if coloured() else word


def coloured() -> bool:
    """Whether stderr is a terminal that has not asked for plain text (``NO_COLOR``, ``TERM=dumb``)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stderr.isatty() and not plain


def debugging() -> bool:
    """Whether ``TRIB_DEBUG`` asks for tracebacks."""
    return os.environ.get("TRIB_DEBUG", "") not in ("", "0")


def _usage(error: click.UsageError) -> tuple[str, str | None]:
    """Return the message and the hint of a usage error; both name what is nearest to what was typed."""
    message = error.format_message()
    hint: str | None = getattr(error, "hint", None)
    found = _POSSIBILITIES.search(message)
    if found:
        message = message[: found.start()]
        near = [word.strip().strip("'") for word in re.split(r",| or ", found["many"] or found["one"])]
        hint = f"did you mean {' or '.join(near)}?"
    if hint is None and error.ctx is not None:
        hint = f"`{error.ctx.command_path} --help` shows what it takes"
    return message[:1].lower() + message[1:].rstrip("."), hint
