"""Work chosen by filters instead of ids: the options, the question before, and what is told afterwards."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, looks, values
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.output import View, document, show, unicode_on
from tributary_daemon.errors import NotPossible
from tributary_daemon.model.states import RunState, StepState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tributary_daemon.cli.blocks import Block
    from tributary_daemon.client.bulk import Steered

_STATES: Final = list(dict.fromkeys([*map(str, RunState), *map(str, StepState)]))
_COUNTED: Final = 10_000
_TELL_EVERY: Final = 2.0
_SHOWN: Final = 10
FILTERS: Final = ("state", "kind", "name", "labels", "queue", "since", "until", "error")

_OF_WORK: Final = (
    click.option(
        "--state",
        type=click.Choice(_STATES),
        metavar="STATE",
        help="In this state; without it, in those in which it makes sense.",
    ),
    click.option(
        "-l", "--label", "labels", multiple=True, type=values.pair, metavar="K=V",
        help="Runs with this label; repeatable.",
    ),
)  # fmt: skip
_OF_ALL: Final = (
    click.option("--kind", type=click.Choice(["run", "intent"]), help="Only runs, or only intents."),
    click.option("--name", metavar="NAME", help="Of this workflow or intent; % stands for any text."),
    click.option(
        "--since",
        type=values.since,
        metavar="DURATION|TIME",
        help="Created within this time, or after that moment.",
    ),
    click.option(
        "--until",
        type=values.since,
        metavar="DURATION|TIME",
        help="Created longer ago than this, or before that moment.",
    ),
    click.option("--error", metavar="TEXT", help="With this text in the type or message of an error."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many."),
)
_HOW: Final = (
    click.option("--dry-run", is_flag=True, help="Show how many fit and some of them; do nothing."),
    click.option("-y", "--yes", is_flag=True, help="Do not ask first."),
)


def filters(
    *, letters: bool = False, queue: str = "--queue", acts: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the filters to a command.

    Args:
        letters: the command is about dead letters, which have neither states nor labels.
        queue: what the filter by queue is called.
        acts: add ``--dry-run`` and ``--yes``, too.
    """
    by_queue = click.option(queue, "queue", metavar="NAME", help="Intents of this queue.")
    options = (*(() if letters else _OF_WORK), *_OF_ALL, by_queue, *(_HOW if acts else ()))

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line chose: the given filters, and how to go about it."""

    select: dict[str, Any]
    dry_run: bool
    yes: bool

    @property
    def chosen(self) -> bool:
        """Whether filters were given at all."""
        return any(name in self.select for name in FILTERS)


def asked(given: dict[str, Any], references: Iterable[str], what: str) -> Asked:
    """Take the filters out of a command's parameters; either these or ids must have been given.

    Args:
        given: parameters; the filters and ``dry_run`` and ``yes`` are removed.
        references: ids on the command line.
        what: how ids are called, for messages.

    Raises:
        click.UsageError: neither filters nor ids were given, or both.
    """
    dry_run, yes = given.pop("dry_run"), given.pop("yes")
    select = {name: given.pop(name, None) for name in (*FILTERS, "limit")}
    select["labels"] = values.mapping(select["labels"] or (), "-l") or None
    found = Asked({name: value for name, value in select.items() if value is not None}, dry_run, yes)
    if any(references):
        if found.select or dry_run or yes:
            raise click.UsageError(f"give either {what} or filters; --dry-run and --yes go with filters")
    elif not found.chosen:
        raise click.UsageError(f"say what: {what}, or filters such as --name and --state (--help lists them)")
    return found


def steer(wanted: Asked, verb: str, past: str, output: str, act: Callable[..., Steered]) -> int:
    """Count, ask, act, and tell what was done and what could not be.

    Args:
        wanted: what was chosen.
        verb: what is done, for the question: ``cancel``.
        past: what was done: ``cancelled``.
        output: format.
        act: does it: takes ``dry_run``, ``seen`` and the filters.

    Returns:
        0, or 8 when it could not be done to all of them.

    Raises:
        click.UsageError: there is nobody to ask, and ``--yes`` was not given.
    """
    last: Steered | None = None
    told_at = time.monotonic()

    def tell(so_far: Steered) -> None:
        nonlocal last, told_at
        last = so_far
        if time.monotonic() - told_at > _TELL_EVERY:
            told_at = time.monotonic()
            failures.say(f"{_done(so_far, past)} so far")

    try:
        if wanted.dry_run:
            last = act(dry_run=True, seen=tell, **wanted.select)
        else:
            select = wanted.select if wanted.yes else _agreed(wanted, verb, act)
            if select is None:
                failures.say("nothing was done")
                return failures.COMPLETED
            last = act(dry_run=False, seen=tell, **select)
    except KeyboardInterrupt:
        if last is not None and not wanted.dry_run:
            failures.say(f"interrupted: {_done(last, past)}; the rest is as it was, the same command goes on")
        raise
    found = document(last)
    show(View(found, [row["ref"] for row in found["sample"]], lambda: _blocks(found, verb, past)), output)
    for refusal in found["refusals"][:_SHOWN]:
        failures.say_error(f"{refusal['ref']}: {refusal['message']}")
    if found["refused"] > _SHOWN:
        failures.say(f"and {found['refused'] - _SHOWN:,} more")
    return NotPossible.exit_code if found["refused"] else failures.COMPLETED


def _agreed(wanted: Asked, verb: str, act: Callable[..., Steered]) -> dict[str, Any] | None:
    """Ask; return the filters for exactly what was asked about, None for a no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(
            f"nobody is there to be asked: --dry-run shows what would be done, --yes {verb}s"
        )
    most = min(wanted.select.get("limit", _COUNTED + 1), _COUNTED + 1)
    found = act(dry_run=True, seen=None, **{**wanted.select, "limit": most})
    select = {**wanted.select, "until": found.until}
    if not found.matched:
        return select
    for item in found.sample:
        failures.say(f"  {item.ref}  {item.kind}  {item.name}  {item.state}")
    if found.matched > len(found.sample):
        failures.say("  …")
    count = f"more than {_COUNTED:,}" if found.matched > _COUNTED else f"{found.matched:,}"
    return select if click.confirm(f"{verb} {count}?", err=True) else None


def _done(found: Steered, past: str) -> str:
    if found.dry_run:
        return f"{found.matched:,} found"
    return f"{past} {found.done:,}" + (f", {found.refused:,} could not be" if found.refused else "")


def _blocks(found: dict[str, Any], verb: str, past: str) -> list[Block]:
    if not found["matched"]:
        return [Lines((line(Span("nothing fits", "faint")),))]
    if not found["dry_run"]:
        more = f", {found['refused']:,} could not be" if found["refused"] else ""
        return [Lines((line(Span(f"{past} {found['done']:,}{more}", "bad" if more else "good")),))]
    now, unicode = looks.now(), unicode_on(sys.stdout)
    rows = tuple(
        (
            Span(row["ref"] if "/" in row["ref"] else row["ref"][-8:], "id"),
            Span(row["kind"]),
            Span(row["name"], "name"),
            Span(f"{looks.glyph(row['state'], unicode=unicode)} {row['state']}", row["state"]),
            Span(looks.ago(row["created_at"], now)),
        )
        for row in found["sample"]
    )
    blocks: list[Block] = [Lines((line(Span(f"would {verb} {found['matched']:,}", "good")),))]
    if rows:
        blocks.append(Table(("id", "kind", "name", "state", "created"), rows, frozenset(), ""))
    if found["matched"] > len(rows):
        blocks.append(Lines((line(Span(f"and {found['matched'] - len(rows):,} more", "faint")),)))
    return blocks
