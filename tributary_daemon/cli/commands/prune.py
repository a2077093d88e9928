"""``trib prune``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.model.states import RunState, StepState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.cli.blocks import Block
    from tributary_daemon.client.pruning import Pruned

_STATES: Final = [*map(str, (RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, StepState.DISCARDED))]
_EPILOG: Final = """\b
Work goes with its steps, payloads, events and idempotency key. Unfinished work stays, whatever its age;
so does work with dead letters, until these are requeued, dropped, or older than you say.
Runs of workflows that say themselves how long they are kept (keep: {days, runs}) go by that first; with
nothing else set, only these.

\b
Examples:
  trib prune --older-than 30d --dry-run
  trib prune --older-than 7d --state completed
  trib prune --older-than 30d --dead-letters-older-than 90d"""
_ON_TERMINALS: Final = 2.0
_ELSEWHERE: Final = 10.0


@click.command(cls=Command, epilog=_EPILOG)
@click.option(
    "--older-than",
    type=values.age,
    metavar="DURATION",
    help="What ended longer ago, e.g. 30d. Default: the setting keep.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice(_STATES),
    multiple=True,
    metavar="STATE",
    help=f"Only what ended as one of: {', '.join(_STATES)}; repeatable.",
)
@click.option(
    "--dead-letters-older-than",
    "letters",
    type=values.age,
    metavar="DURATION",
    help="Also work whose dead letters are older. Default: the setting keep_dead_letters.",
)
@click.option("--dry-run", is_flag=True, help="Count what would go, remove nothing.")
@output_option
def prune(
    *, older_than: float | None, states: tuple[str, ...], letters: float | None, dry_run: bool, output: str
) -> int:
    """Remove work that ended long ago."""
    config = settings()
    keep = config.keep if older_than is None else older_than
    if keep is None and states:
        raise click.UsageError("say how old what goes must be: --older-than 30d (or set keep)")
    with opened() as client:
        if keep is None and not client.keeps():
            raise click.UsageError(
                "say what may go: --older-than 30d (or set keep, or give workflows a keep)"
            )
        done = client.prune(
            keep,
            states=states,
            dead_letters_older_than=config.keep_dead_letters if letters is None else letters,
            dry_run=dry_run,
            seen=_teller(),
        )
    found = document(done)
    show(View(found, [], lambda: _blocks(found)), output)
    return failures.COMPLETED


def _teller() -> Callable[[Pruned], None]:
    """Return what says on stderr, now and then, how far it is."""
    pause = _ON_TERMINALS if sys.stderr.isatty() else _ELSEWHERE
    said_at = time.monotonic()

    def tell(so_far: Pruned) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > pause:
            said_at = time.monotonic()
            failures.say(f"{_sentence(so_far.to_json())} so far")

    return tell


def _blocks(found: dict[str, Any]) -> list[Block]:
    lines = [line(Span(_sentence(found), "good"))]
    lines += [
        line("  ", Span(name, "name"), f"  {_count(runs, 'run')} by the keep of the workflow")
        for name, runs in sorted(found["kept"].items())
    ]
    return [Lines(tuple(lines))]


def _sentence(found: dict[str, Any]) -> str:
    verb = "would prune" if found["dry_run"] else "pruned"
    return f"{verb} {_count(found['runs'], 'run')} and {_count(found['intents'], 'intent')}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
