"""``trib submit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, targets, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.correlating import correlating, correlating_options
from tributary_daemon.cli.known import imported, imports_option
from tributary_daemon.cli.looks import glyph, state
from tributary_daemon.cli.opening import submitting
from tributary_daemon.cli.output import View, document, dump, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.waiting import attend, check, waiting_options

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.cli.targets import Target
    from tributary_daemon.client.client import Client
    from tributary_daemon.spec.workflow import InputSpec

_KNOWN = {
    "keep": "there is one already: nothing was stored",
    "replace": "it was there already, and has the new payload and time if it waits",
    "debounce": "it was there already, and has the new payload and waits anew",
}
_EPILOG = """\b
TARGET is a YAML file, `-` for a file on standard input, the name of a registered
workflow, or the name of an intent. With a slash or .yaml it is always a file.

\b
Examples:
  trib submit workflows/signup.yaml -i email=ada@example.com --watch
  trib submit content.thumbnail.v1 --payload '{"content_id": "c_123"}' --key thumbnail:c_123
  trib submit billing.close.v1 --in 5m --queue heavy --max-attempts 5
  id=$(trib submit workflows/etl.yaml -o name)"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("target")
@click.option(
    "-i",
    "--input",
    "pairs",
    multiple=True,
    type=values.pair,
    metavar="K=V",
    help="An input, typed as the workflow declares it; repeatable.",
)
@click.option(
    "--payload",
    metavar="JSON|@FILE|-",
    help="All inputs, or the payload of an intent, as JSON; -i adds to it.",
)
@click.option(
    "--key", metavar="KEY", help="Idempotency key: a known one stores nothing and gives the known id."
)
@click.option("--queue", metavar="NAME", help="Queue to wait in.")
@click.option("--priority", type=click.IntRange(-32_768, 31_999), metavar="N", help="Higher goes first.")
@click.option(
    "--in", "delay", type=values.duration, metavar="DURATION", help="Start no sooner than after this."
)
@click.option(
    "--at", "at", type=values.moment, metavar="TIME", help="Start no sooner than at this RFC 3339 time."
)
@click.option(
    "--max-attempts", type=click.IntRange(1, 32_767), metavar="N", help="Executions of each step in all."
)
@click.option(
    "-l", "--label", "labels", multiple=True, type=values.pair, metavar="K=V", help="A label; repeatable."
)
@correlating_options
@imports_option
@click.option(
    "--unique", metavar="KEY", help="One of this name and key at a time: what is unfinished is returned."
)
@click.option(
    "--unique-by", type=click.Choice(["payload"]), help="The same, by payload or inputs instead of a key."
)
@click.option(
    "--unique-for",
    "period",
    type=values.duration,
    metavar="DURATION",
    help="Once in this time, whatever became of it.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["keep", "replace", "debounce"]),
    help="Give one that waits this payload and time (replace), or push it back by --in (debounce).",
)
@click.option(
    "--max-wait", type=values.duration, metavar="DURATION", help="How long a debounce pushes back in all."
)
@click.option(
    "--expires-in", type=values.duration, metavar="DURATION", help="Cancel it unless it has started by then."
)
@click.option(
    "--expires-at", type=values.moment, metavar="TIME", help="Cancel it unless it has started by this time."
)
@click.option(
    "--no-cache",
    is_flag=True,
    help="Run each step, also those whose result is in the cache; keep none there.",
)
@waiting_options
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse warnings: unknown handlers, names without a version; check types against the registry.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check everything and show what would be stored; store nothing."
)
@output_option
def submit(
    *,
    target: str,
    pairs: tuple[tuple[str, str], ...],
    payload: str | None,
    key: str | None,
    queue: str | None,
    priority: int | None,
    delay: float | None,
    at: datetime | None,
    max_attempts: int | None,
    labels: tuple[tuple[str, str], ...],
    imports: tuple[str, ...],
    wait: bool,
    watch: bool,
    timeout: float | None,
    strict: bool,
    dry_run: bool,
    output: str,
    expires_in: float | None,
    expires_at: datetime | None,
    no_cache: bool,
    correlation_id: str | None,
    business_id: str | None,
    traceparent: str | None,
    **unique: Any,
) -> int:
    """Record work: a workflow file or name, or an intent."""
    if expires_in is not None and expires_at is not None:
        raise click.UsageError("--expires-in and --expires-at exclude each other")
    if delay is not None and at is not None:
        raise click.UsageError("--in and --at exclude each other")
    waits = check(wait=wait, watch=watch, timeout=timeout)
    if target == "-" and payload == "-":
        raise click.UsageError("standard input holds either the workflow or the payload")
    what = targets.target(target, strict=strict, signatures=imported(imports) if imports else None)
    options: dict[str, Any] = {
        "idempotency_key": key,
        "queue": queue,
        "priority": priority,
        "run_after": delay if delay is not None else at,
        "max_attempts": max_attempts,
        "labels": values.mapping(labels, "-l") or None,
        "unique": _unique(**unique),
        "expires": expires_in if expires_in is not None else expires_at,
        "cache": False if no_cache else None,
        "strict": strict,
        **correlating(correlation_id=correlation_id, business_id=business_id, traceparent=traceparent),
    }
    with submitting() as client:
        given = targets.inputs(pairs, payload, lambda: declared(client, what))
        if dry_run:
            plan = client.dry_run(what.work, given, **options)
            show(View(plan, [plan["name"]], lambda: [Lines((line(dump(plan, indent=2)),))]), output)
            return failures.COMPLETED
        receipt = client.submit(what.work, given, **options)
        failures.say_warnings(receipt.warnings)
        answer = document(receipt)
        if waits:
            return attend(client, answer, output, verbose=watch, timeout=timeout)
    show(view(answer, _KNOWN.get(unique["on_conflict"] or "keep" if options["unique"] else "")), output)
    return failures.COMPLETED


def _unique(
    *,
    unique: str | None,
    unique_by: str | None,
    period: float | None,
    on_conflict: str | None,
    max_wait: float | None,
) -> dict[str, Any] | None:
    if unique is None and unique_by is None:
        if period is not None or on_conflict is not None or max_wait is not None:
            raise click.UsageError("say what is unique: --unique KEY, or --unique-by payload")
        return None
    if unique is not None and unique_by is not None:
        raise click.UsageError("--unique and --unique-by exclude each other")
    given = {
        "key": unique,
        "by": unique_by,
        "period": period,
        "on_conflict": on_conflict,
        "max_wait": max_wait,
    }
    return {name: value for name, value in given.items() if value is not None}


def declared(client: Client, what: Target) -> dict[str, InputSpec] | None:
    """Return the inputs that a target declares; None for an intent."""
    if what.spec is not None:
        return what.spec.inputs
    assert what.name is not None
    spec = client.workflow(what.name)
    return spec.inputs if spec is not None else None


def view(answer: dict[str, Any], told: str | None = None) -> View:
    """Return what is shown of a receipt; ``told``: of one that was there."""
    known = "" if answer["created"] else f"  ({told or 'the key was known: nothing was stored'})"
    return View(
        answer,
        [answer["id"]],
        lambda: [
            Lines(
                (
                    line(
                        Span(glyph(answer["state"]), answer["state"]),
                        f" {answer['kind']} ",
                        Span(answer["id"], "id"),
                        "  ",
                        Span(answer["name"], "name"),
                        "  ",
                        state(answer["state"]),
                        Span(known, "warning"),
                    ),
                )
            )
        ],
    )
