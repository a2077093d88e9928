"""``trib dlq list|show|requeue|drop``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Block, Lines, Span, Table, line, pairs
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.selection import asked, filters, steer
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import AmbiguousId, InvalidInput, NotFound, NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tributary_daemon.client.reader import Reader

_ENTRIES: Final = {
    "list": Entry("commands.dlq:list_", "List dead letters, newest first"),
    "show": Entry("commands.dlq:show_", "Show one dead letter with its payload and error"),
    "requeue": Entry("commands.dlq:requeue", "Put dead letters back to work"),
    "drop": Entry("commands.dlq:drop", "Forget dead letters; the work stays discarded"),
}
_REFERENCE: Final = """REF is the id of an intent, RUN/STEP, or 'RUN/STEP[KEY]' for an item of a fan-out;
parts of ids do."""
_MANY: Final = f"""{_REFERENCE} With filters instead: all dead letters that fit.

\\b
Examples:
  trib dlq {{command}} --name 'mail.%' --error timeout --dry-run
  trib dlq {{command}} --since 24h --yes"""


@click.command(cls=LazyGroup, entries=_ENTRIES)
def dlq() -> None:
    """List, show, requeue and drop dead letters."""


@click.command("list", cls=Command, epilog="\b\nExample:\n  trib dlq list -o name | xargs trib dlq requeue")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows of one page."
)
@click.option("--after", metavar="CURSOR", help="Continue behind the page that gave this cursor.")
@output_option
def list_(limit: int, after: str | None, output: str) -> int:
    """List dead letters, newest first."""
    with opened() as client:
        page = client.dead_letters(limit=limit, after=after)
    rows = document(list(page.items))
    show(View(rows, [row["ref"] for row in rows], lambda: [_table(rows)]), output)
    if page.after is not None:
        failures.say(f"there may be more: --after {page.after}")
    return failures.COMPLETED


@click.command("show", cls=Command, epilog=_REFERENCE)
@click.argument("reference", metavar="REF")
@output_option
def show_(reference: str, output: str) -> int:
    """Show one dead letter with its payload and error."""
    with opened() as client:
        found = document(client.dead_letter(reference))
    show(View(found, [found["ref"]], lambda: _letter(found)), output)
    return failures.COMPLETED


@click.command(cls=Command, epilog=_MANY.format(command="requeue"))
@click.argument("references", metavar="[REF...]", nargs=-1)
@filters(letters=True)
@output_option
def requeue(*, references: tuple[str, ...], output: str, **given: Any) -> int:
    """Put dead letters back to work."""
    wanted = asked(given, references, "REFs")
    if not references:
        with opened() as client:
            return steer(wanted, "requeue", "requeued", output, client.requeue_many)
    # once a run is at work again, no other dead letter of it would go back
    runs: dict[str, list[str]] = {}
    for reference in dict.fromkeys(references):
        runs.setdefault(reference.partition("/")[0], []).append(reference)
    return _each(runs.values(), output, "requeued", lambda client, refs: client.requeue(refs))


@click.command(cls=Command, epilog=_MANY.format(command="drop"))
@click.argument("references", metavar="[REF...]", nargs=-1)
@filters(letters=True)
@output_option
def drop(*, references: tuple[str, ...], output: str, **given: Any) -> int:
    """Forget dead letters; the work stays discarded."""
    wanted = asked(given, references, "REFs")
    if not references:
        with opened() as client:
            return steer(wanted, "drop", "dropped", output, client.drop_many)
    each = ([reference] for reference in references)
    return _each(each, output, "dropped", lambda client, refs: client.drop(*refs))


def _each(
    groups: Iterable[Sequence[str]], output: str, word: str, action: Callable[[Reader, Sequence[str]], object]
) -> int:
    done: list[dict[str, Any]] = []
    code = failures.COMPLETED
    with opened() as client:
        for group in groups:
            try:
                action(client, group)
            except (NotFound, NotPossible, AmbiguousId, InvalidInput) as error:
                failures.say_error(error.message, error.hint)
                code = code or error.exit_code
                continue
            done += [{"ref": reference, "outcome": word} for reference in group]
    if done:
        rows = tuple(line(Span(word, "good"), "  ", Span(row["ref"], "id")) for row in done)
        show(View(done, [row["ref"] for row in done], lambda: [Lines(rows)]), output)
    return code


def _table(rows: list[dict[str, Any]]) -> Table:
    now = looks.now()
    return Table(
        ("id", "step", "name", "queue", "attempts", "reason", "when", "error"),
        tuple(
            (
                Span(row["id"][-8:], "id"),
                Span(row["ref"].partition("/")[2]),
                Span(row["name"], "name"),
                Span(row["queue"]),
                Span(str(row["attempt"])),
                Span(row["reason"]),
                Span(looks.ago(row["created_at"], now)),
                Span(looks.fault(row["error"], 80), "bad"),
            )
            for row in rows
        ),
        frozenset({"attempts"}),
        "no dead letters",
    )


def _letter(found: dict[str, Any]) -> list[Block]:
    error = found["error"] or {}
    blocks: list[Block] = [
        pairs(
            ("dead letter", Span(found["ref"], "id")),
            ("name", Span(found["name"], "name")),
            ("queue", found["queue"]),
            ("attempts", str(found["attempt"])),
            ("reason", found["reason"]),
            ("since", looks.clock(found["created_at"])),
            ("error", Span(looks.fault(error), "bad")),
            ("payload", looks.compact(found.get("payload"), 2_000)),
        )
    ]
    if error.get("traceback"):
        blocks.append(Lines(tuple(line(Span(text, "faint")) for text in error["traceback"].splitlines())))
    blocks.append(Lines((line(Span("next  ", "label"), Span(f"trib dlq requeue {found['ref']}", "next")),)))
    return blocks
