"""``trib pause``, ``trib resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import AmbiguousId, InvalidInput, NotFound, NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.client.reader import Reader


@click.command(
    cls=Command,
    epilog="""\b
What runs goes on to its end; nothing else of the run starts, nor of the runs that its steps
started. Its timeout goes on, too. A queue is paused by `trib queue pause`.

\b
Examples:
  trib pause @latest
  trib pause 9f3c21ab 77d01e4c""",
)
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@output_option
def pause(identifiers: tuple[str, ...], output: str) -> int:
    """Pause runs until they are resumed."""
    return _each(identifiers, lambda client, full: client.pause(full), "paused", output)


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib resume @latest""",
)
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@output_option
def resume(identifiers: tuple[str, ...], output: str) -> int:
    """Let paused runs go on."""
    return _each(identifiers, lambda client, full: client.resume(full), "running", output)


def _each(identifiers: Sequence[str], steer: Callable[[Reader, str], str], state: str, output: str) -> int:
    """Steer every run; the exit code is that of the first that was refused."""
    done: list[dict[str, Any]] = []
    code = failures.COMPLETED
    with opened() as client:
        for identifier in identifiers:
            try:
                full = client.resolve_id(identifier)
                steer(client, full)
            except (NotFound, NotPossible, AmbiguousId, InvalidInput) as error:
                failures.say_error(error.message, error.hint)
                code = code or error.exit_code
                continue
            done.append({"id": full, "state": state})
    if done or not code:
        rows = tuple(line(Span(row["id"], "id"), "  ", Span(row["state"], row["state"])) for row in done)
        show(View(done, [row["id"] for row in done], lambda: [Lines(rows)]), output)
    return code
