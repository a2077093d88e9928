"""``trib cancel``, ``trib retry``, ``trib rerun``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.commands.submit import view as receipt_view
from tributary_daemon.cli.opening import opened, submitting
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.selection import asked, filters, steer
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.waiting import attend, check, waiting_options
from tributary_daemon.errors import AmbiguousId, InvalidInput, NotFound, NotPossible

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(
    cls=Command,
    epilog="""\b
What runs is stopped; what waits never starts; a late answer of a worker is refused.
With several IDs all are tried; the exit code is that of the first that was refused.
With filters instead of IDs: all that fit and have not ended, in short transactions of their own.

\b
Examples:
  trib cancel @latest
  trib cancel 9f3c21ab 77d01e4c --reason "wrong file"
  trib cancel --name 'billing.%' --state scheduled --dry-run
  trib cancel --queue imports --until 2h --yes""",
)
@click.argument("identifiers", metavar="[ID...]", nargs=-1)
@click.option("--reason", metavar="TEXT", help="Recorded with the cancelled work.")
@filters()
@output_option
def cancel(*, identifiers: tuple[str, ...], reason: str | None, output: str, **given: Any) -> int:
    """Cancel runs or intents, in any state."""
    wanted = asked(given, identifiers, "IDs")
    done: list[dict[str, Any]] = []
    code = failures.COMPLETED
    with opened() as client:
        if not identifiers:
            return steer(wanted, "cancel", "cancelled", output, partial(client.cancel_many, reason))
        for identifier in identifiers:
            try:
                full = client.resolve_id(identifier)
                client.cancel(full, reason=reason)
            except (NotFound, NotPossible, AmbiguousId, InvalidInput) as error:
                failures.say_error(error.message, error.hint)
                code = code or error.exit_code
                continue
            done.append({"id": full, "state": "cancelled"})
    if done or not code:
        show(_states(done), output)
    return code


@click.command(
    cls=Command,
    epilog="""\b
A run goes on with the source it was submitted with. Without --from its failed, skipped and
cancelled steps run again; with --from these steps and all that need them do.
With filters instead of an ID: all failed runs and discarded intents that fit.

\b
Examples:
  trib retry @latest --watch
  trib retry 9f3c21ab --from transform
  trib retry --name etl.v1 --since 6h --error "connection refused" --dry-run""",
)
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--from", "steps", multiple=True, metavar="STEP", help="Start over from this step; repeatable.")
@waiting_options
@filters()
@output_option
def retry(
    *,
    identifier: str | None,
    steps: tuple[str, ...],
    wait: bool,
    watch: bool,
    timeout: float | None,
    output: str,
    **given: Any,
) -> int:
    """Try failed work again; finished steps keep their results."""
    wanted = asked(given, [identifier or ""], "an ID")
    waits = check(wait=wait, watch=watch, timeout=timeout)
    if identifier is None and (waits or steps):
        raise click.UsageError("--from, --wait and --watch go with an ID")
    with opened() as client:
        if identifier is None:
            return steer(wanted, "retry", "retried", output, client.retry_many)
        full = client.resolve_id(identifier)
        state = client.retry(full, list(steps) or None)
        if waits:
            return attend(client, {"id": full}, output, verbose=watch, timeout=timeout)
    show(_states([{"id": full, "state": state}], single=True), output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
The new run has the same source, inputs and labels, and no idempotency key.

\b
Examples:
  trib rerun @latest --watch""",
)
@click.argument("identifier", metavar="ID")
@waiting_options
@output_option
def rerun(
    *,
    identifier: str,
    wait: bool,
    watch: bool,
    timeout: float | None,
    output: str,
) -> int:
    """Submit the same work once more, as a new run or intent."""
    waits = check(wait=wait, watch=watch, timeout=timeout)
    with submitting() as client:
        answer = document(client.rerun(client.resolve_id(identifier)))
        if waits:
            return attend(client, answer, output, verbose=watch, timeout=timeout)
    show(receipt_view(answer), output)
    return failures.COMPLETED


def _states(done: Sequence[dict[str, Any]], *, single: bool = False) -> View:
    return View(
        done[0] if single else list(done),
        [row["id"] for row in done],
        lambda: [
            Lines(tuple(line(Span(row["id"], "id"), "  ", Span(row["state"], row["state"])) for row in done))
        ],
    )
