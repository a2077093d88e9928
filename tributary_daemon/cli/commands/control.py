"""``trib cancel``, ``trib retry``, ``trib rerun``."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

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

    from tributary_daemon.store.control import Again

_SHOWN: Final = 20


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
cancelled steps run again; with --from these steps and all that need them do; with --only these
steps, or one item of a fan-out, and below them only what did not end well. On a terminal --from and
--only show what runs again, and ask.
With filters instead of an ID: all failed runs and discarded intents that fit.

\b
Examples:
  trib retry @latest --watch
  trib retry 9f3c21ab --from transform --dry-run
  trib retry 9f3c21ab --only 'resize[c_17]'
  trib retry --name etl.v1 --since 6h --error "connection refused" --dry-run""",
)
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("--from", "steps", multiple=True, metavar="STEP", help="Start over from this step; repeatable.")
@click.option(
    "--only", multiple=True, metavar="STEP", help="Only this step, or STEP[KEY] for one item; repeatable."
)
@waiting_options
@filters()
@output_option
def retry(
    *,
    identifier: str | None,
    steps: tuple[str, ...],
    only: tuple[str, ...],
    wait: bool,
    watch: bool,
    timeout: float | None,
    output: str,
    **given: Any,
) -> int:
    """Try failed work again; finished steps keep their results."""
    preview, sure = (given.pop("dry_run"), given.pop("yes")) if identifier is not None else (False, False)
    wanted = asked({"dry_run": False, "yes": False, **given}, [identifier or ""], "an ID")
    waits = check(wait=wait, watch=watch, timeout=timeout)
    if identifier is None and (waits or steps or only):
        raise click.UsageError("--from, --only, --wait and --watch go with an ID")
    if steps and only:
        raise click.UsageError("--from runs what is below as well, --only does not: give one of them")
    with opened() as client:
        if identifier is None:
            return steer(wanted, "retry", "retried", output, client.retry_many)
        full = client.resolve_id(identifier)
        named = bool(steps or only)
        if preview or (named and not sure and sys.stdin.isatty() and sys.stderr.isatty()):
            found = client.retry_preview(full, list(steps) or None, list(only) or None)
            if preview:
                show(_preview(found), output)
                return failures.COMPLETED
            again = [_named(row) for row in found if row.again]
            more = f" and {len(again) - _SHOWN:,} more" if len(again) > _SHOWN else ""
            if not click.confirm(f"Run again: {', '.join(again[:_SHOWN])}{more}?", err=True):
                failures.say("nothing was done")
                return failures.COMPLETED
        state = client.retry_only(full, list(only)) if only else client.retry(full, list(steps) or None)
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
@click.option("--latest", is_flag=True, help="Take the revision that is registered now under its name.")
@waiting_options
@output_option
def rerun(
    *,
    identifier: str,
    latest: bool,
    wait: bool,
    watch: bool,
    timeout: float | None,
    output: str,
) -> int:
    """Submit the same work once more, as a new run or intent."""
    waits = check(wait=wait, watch=watch, timeout=timeout)
    with submitting() as client:
        answer = document(client.rerun(client.resolve_id(identifier), latest=latest))
        if waits:
            return attend(client, answer, output, verbose=watch, timeout=timeout)
    show(receipt_view(answer), output)
    return failures.COMPLETED


def _named(row: Again) -> str:
    if row.step is None:
        return "the intent"
    return row.step if row.item is None else f"{row.step}[{row.item}]"


def _preview(found: Sequence[Again]) -> View:
    rows = [{"step": row.step, "item": row.item, "state": row.state, "again": row.again} for row in found]
    return View(
        rows,
        [_named(row) for row in found if row.again],
        lambda: [
            Lines(
                tuple(
                    line(
                        Span(
                            "runs again  " if row.again else "stays       ",
                            "warning" if row.again else "faint",
                        ),
                        _named(row),
                        "  ",
                        Span(row.state, row.state),
                    )
                    for row in found
                )
            )
        ],
    )


def _states(done: Sequence[dict[str, Any]], *, single: bool = False) -> View:
    return View(
        done[0] if single else list(done),
        [row["id"] for row in done],
        lambda: [
            Lines(tuple(line(Span(row["id"], "id"), "  ", Span(row["state"], row["state"])) for row in done))
        ],
    )
