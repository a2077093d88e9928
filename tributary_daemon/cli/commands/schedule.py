"""``trib schedule list|show|add|pause|resume|trigger|backfill|remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, targets, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.loader import Entry, LazyGroup, late
from tributary_daemon.cli.opening import opened, submitting
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.client.client import Client
    from tributary_daemon.spec.workflow import InputSpec

_ENTRIES: Final = {
    "list": Entry("commands.schedule:list_", "List schedules with their next slots"),
    "show": Entry("commands.schedule:show_", "Show one schedule with its next and its newest slots"),
    "add": Entry("commands.schedule:add", "Add a schedule of a workflow or an intent, or change it"),
    "pause": Entry("commands.schedule:pause", "Start nothing by schedules until they are resumed"),
    "resume": Entry("commands.schedule:resume", "Let paused or disabled schedules go on"),
    "trigger": Entry("commands.schedule:trigger", "Start what schedules are for, now"),
    "backfill": Entry("commands.schedule:backfill", "Fire the slots of a span of the past"),
    "remove": Entry("commands.schedule:remove", "Remove schedules; what they have started goes on"),
}
_TIMES: Final = """\b
--cron is "minute hour day month weekday" (six fields: seconds first), or @hourly, @daily, @weekly,
@monthly, @yearly. Fields are * numbers names ranges steps lists; L is the last day of the month,
MON#2 the second Monday, FRIL the last Friday. It is meant in the zone of --timezone.

\b
Examples:
  trib schedule add nightly --cron '15 2 * * *' --timezone Europe/Berlin --workflow etl.v1 -i env=prod
  trib schedule add ping --cron '*/5 * * * *' --intent net.ping.v1 --payload '{"host": "db"}'"""


@click.command(cls=LazyGroup, entries=_ENTRIES)
def schedule() -> None:
    """Add, list, pause, trigger and backfill what starts by itself."""


@click.command("list", cls=Command)
@click.option(
    "--next", "upcoming", type=click.IntRange(1, 1_000), default=5, show_default=True,
    help="How many slots to come, in JSON and YAML; the table shows the first.",
)  # fmt: skip
@output_option
def list_(upcoming: int, output: str) -> int:
    """List schedules with their next slots."""
    with opened() as client:
        rows = document(client.schedules(upcoming=upcoming))
    show(View(rows, [row["name"] for row in rows], lambda: late("schedule_view:listed")(rows)), output)
    return failures.COMPLETED


@click.command("show", cls=Command)
@click.argument("name")
@click.option(
    "--next", "upcoming", type=click.IntRange(1, 1_000), default=5, show_default=True, help="Slots to come."
)
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Slots of the past."
)
@output_option
def show_(name: str, upcoming: int, limit: int, output: str) -> int:
    """Show one schedule with its next and its newest slots."""
    with opened() as client:
        row = document(client.get_schedule(name, upcoming=upcoming, fires=limit))
    _show(row, output)
    return failures.COMPLETED


@click.command(cls=Command, epilog=_TIMES)
@click.argument("name")
@click.option("--cron", required=True, metavar="TEXT", help="When.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="IANA name of the zone.")
@click.option("--workflow", metavar="NAME", help="Registered workflow to start.")
@click.option("--intent", metavar="NAME", help="Intent to record.")
@click.option(
    "-i", "--input", "pairs", multiple=True, type=values.pair, metavar="K=V",
    help="An input, typed as the workflow declares it; repeatable.",
)  # fmt: skip
@click.option(
    "--payload", metavar="JSON|@FILE|-", help="All inputs, or the payload of an intent; -i adds to it."
)
@click.option(
    "--overlap", type=click.Choice(("skip", "queue", "allow")), default="skip", show_default=True,
    help="While earlier work goes on: leave the slot out, let it wait, or start it.",
)  # fmt: skip
@click.option(
    "--catchup", type=values.duration, metavar="DURATION",
    help="So old a slot may be after an outage and still be fired; a minute if omitted.",
)  # fmt: skip
@click.option(
    "--jitter", type=values.duration, metavar="DURATION", help="Start each slot late by a share of this."
)
@click.option("--queue", metavar="NAME", help="Queue to wait in.")
@click.option("--priority", type=click.IntRange(-32_768, 31_999), metavar="N", help="Higher goes first.")
@click.option("--max-attempts", type=click.IntRange(1, 32_767), metavar="N", help="Executions in all.")
@click.option(
    "-l", "--label", "labels", multiple=True, type=values.pair, metavar="K=V", help="A label; repeatable."
)
@click.option("--paused", is_flag=True, help="Add it without starting anything.")
@output_option
def add(
    *,
    name: str,
    cron: str,
    timezone: str,
    workflow: str | None,
    intent: str | None,
    pairs: tuple[tuple[str, str], ...],
    payload: str | None,
    overlap: str,
    catchup: float | None,
    jitter: float | None,
    queue: str | None,
    priority: int | None,
    max_attempts: int | None,
    labels: tuple[tuple[str, str], ...],
    paused: bool,
    output: str,
) -> int:
    """Add a schedule of a workflow or an intent, or change it."""
    if (workflow is None) == (intent is None):
        raise click.UsageError("give either --workflow NAME or --intent NAME")
    target = workflow or intent
    assert target is not None
    if targets.looks_like_path(target):
        raise click.UsageError(f"{target} is a file; register it, and give the workflow's name")
    with submitting() as client:
        given = targets.inputs(pairs, payload, lambda: _declared(client, workflow))
        added = client.schedule(
            name, cron, target, given, kind="run" if workflow else "intent", timezone=timezone,
            overlap=overlap, catchup=catchup, jitter=jitter, paused=paused, queue=queue, priority=priority,
            max_attempts=max_attempts, labels=values.mapping(labels, "-l") or None,
        )  # fmt: skip
    failures.say_warnings(added.warnings)
    _show(document(added), output)
    return failures.COMPLETED


@click.command(cls=Command, epilog="\b\nExample:\n  trib schedule pause nightly")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@output_option
def pause(names: tuple[str, ...], output: str) -> int:
    """Start nothing by schedules until they are resumed."""
    with opened() as client:
        return _each(names, output, "paused", client.pause_schedule)


@click.command(cls=Command, epilog="\b\nExample:\n  trib schedule resume nightly --catch-up")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--catch-up", is_flag=True, help="Fire the slots of the pause, as far as the schedule's catch-up reaches."
)
@output_option
def resume(names: tuple[str, ...], catch_up: bool, output: str) -> int:  # noqa: FBT001 - click passes it by name
    """Let paused or disabled schedules go on."""
    with opened() as client:
        return _each(names, output, "resumed", lambda name: client.resume_schedule(name, catch_up=catch_up))


@click.command(
    cls=Command,
    epilog="It starts outside the slots and whatever runs, also by a paused schedule.\n\n"
    "\b\nExample:\n  trib watch $(trib schedule trigger nightly -o name)",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@output_option
def trigger(names: tuple[str, ...], output: str) -> int:
    """Start what schedules are for, now."""
    with submitting() as client:
        return _each(names, output, "triggered", client.trigger_schedule)


@click.command(
    cls=Command,
    epilog="""\b
Both ends are included; a time without a zone is meant in the schedule's own. A slot that was fired
is not fired again. Unless the schedule's overlap is `allow`, the slots wait for each other.

\b
Examples:
  trib schedule backfill nightly --from 2026-11-01 --to 2026-11-07 --dry-run
  trib schedule backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-07T23:59:00Z""",
)
@click.argument("name")
@click.option("--from", "first", required=True, metavar="TIME", help="First moment.")
@click.option("--to", "last", required=True, metavar="TIME", help="Last moment.")
@click.option("--dry-run", is_flag=True, help="Only show the slots.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Refuse more slots."
)
@output_option
def backfill(name: str, first: str, last: str, *, dry_run: bool, limit: int, output: str) -> int:
    """Fire the slots of a span of the past."""
    with submitting() as client:
        found = client.get_schedule(name, upcoming=1, fires=1)
        rows = document(client.backfill_schedule(name, first, last, dry_run=dry_run, limit=limit))
    names = [row["id"] or row["slot"] for row in rows]
    show(View(rows, names, lambda: [late("schedule_view:backfilled")(rows, found.timezone)]), output)
    waiting = sum(row["outcome"] == "queued" for row in rows)
    if waiting and found.state != "active":
        failures.say(
            f"{waiting} wait: {name} is {found.state}; `trib schedule resume {name}` lets them start"
        )
    elif waiting:
        failures.say(f"{waiting} wait for each other; the worker that leads starts them one by one")
    return failures.COMPLETED


@click.command(cls=Command)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@output_option
def remove(names: tuple[str, ...], output: str) -> int:
    """Remove schedules; what they have started goes on."""
    kept: list[str] = []
    with opened() as client:

        def one(name: str) -> None:
            if (workflow := client.get_schedule(name, upcoming=1, fires=1).workflow) is not None:
                kept.append(f"{name} comes back when {workflow} is registered again with its `schedule`")
            client.unschedule(name)

        code = _each(names, output, "removed", one)
    failures.say_warnings(kept)
    return code


def _each(names: tuple[str, ...], output: str, word: str, action: Callable[[str], object]) -> int:
    done: list[dict[str, Any]] = []
    code = failures.COMPLETED
    for name in names:
        try:
            answer = action(name)
        except (NotFound, InvalidInput) as error:
            failures.say_error(error.message, error.hint)
            code = code or error.exit_code
            continue
        work = {"id": answer} if word == "triggered" else {}
        done.append({"name": name, "outcome": word, **work})
    if done:
        lines = tuple(
            line(
                Span(row["outcome"], "good"),
                "  ",
                Span(row["name"], "name"),
                Span(f"  {row['id']}" if "id" in row else "", "id"),
            )
            for row in done
        )
        show(View(done, [row.get("id", row["name"]) for row in done], lambda: [Lines(lines)]), output)
    return code


def _show(row: dict[str, Any], output: str) -> None:
    show(View(row, [row["name"]], lambda: late("schedule_view:one")(row)), output)


def _declared(client: Client, workflow: str | None) -> dict[str, InputSpec] | None:
    spec = None if workflow is None else client.workflow(workflow)
    return spec.inputs if spec is not None else None
