"""``trib change``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.selection import asked, filters, steer
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import AmbiguousId, InvalidInput, NotFound, NotPossible

if TYPE_CHECKING:
    from datetime import datetime

_EPILOG = """\b
REF is the id of an intent or a run, or RUN/STEP. Of a run, priority and queue go to all steps that wait or
are blocked; its time can be changed until it starts. What runs or has ended stays as it is (exit 8).
With filters instead of REFs: all that fit and wait.

\b
Examples:
  trib change 9f3c21ab --priority 10 --queue fast
  trib change 9f3c21ab --now
  trib change 77d01e4c/load --payload '{"day": "2026-11-30"}'
  trib change --name 'report.%' --from-queue default --queue slow --dry-run"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("references", metavar="[REF...]", nargs=-1)
@click.option("--priority", type=click.IntRange(-32_768, 31_999), metavar="N", help="Higher goes first.")
@click.option("--queue", "new_queue", metavar="NAME", help="Queue to wait in from now on.")
@click.option(
    "--in", "delay", type=values.duration, metavar="DURATION", help="Start no sooner than after this."
)
@click.option(
    "--at", "at", type=values.moment, metavar="TIME", help="Start no sooner than at this RFC 3339 time."
)
@click.option("--now", is_flag=True, help="Do not wait for its time any longer.")
@click.option(
    "--payload", metavar="JSON|@FILE|-", help="The payload of the intent or step from now on, as JSON."
)
@filters(queue="--from-queue")
@output_option
def change(
    *,
    references: tuple[str, ...],
    priority: int | None,
    new_queue: str | None,
    delay: float | None,
    at: datetime | None,
    now: bool,
    payload: str | None,
    output: str,
    **given: Any,
) -> int:
    """Change work that waits: its priority, queue, time or payload."""
    wanted = asked(given, references, "REFs")
    if sum((delay is not None, at is not None, now)) > 1:
        raise click.UsageError("--in, --at and --now exclude each other")
    run_after = 0.0 if now else delay if delay is not None else at
    if priority is None and new_queue is None and run_after is None and payload is None:
        raise click.UsageError("say what is to change: --priority, --queue, --in, --at, --now or --payload")
    if not references:
        if payload is not None:
            raise click.UsageError("--payload goes with a REF")
        with opened() as client:
            act = partial(client.change_many, new_priority=priority, new_queue=new_queue, run_after=run_after)
            return steer(wanted, "change", "changed", output, act)
    value = None if payload is None else values.json_value(payload, "--payload")
    if payload is not None and value is None:
        raise click.UsageError("a payload is not null; an empty one is {}")
    done: list[dict[str, Any]] = []
    code = failures.COMPLETED
    with opened() as client:
        for reference in references:
            identifier, slash, step = reference.partition("/")
            try:
                full = client.resolve_id(identifier)
                state = client.change(
                    full,
                    step=step if slash else None,
                    priority=priority,
                    queue=new_queue,
                    run_after=run_after,
                    payload=value,
                )
            except (NotFound, NotPossible, AmbiguousId, InvalidInput) as error:
                failures.say_error(error.message, error.hint)
                code = code or error.exit_code
                continue
            done.append({"ref": f"{full}/{step}" if slash else full, "state": state})
    if done:
        rows = tuple(line(Span(row["ref"], "id"), "  ", Span(row["state"], row["state"])) for row in done)
        show(View(done, [row["ref"] for row in done], lambda: [Lines(rows)]), output)
    return code
