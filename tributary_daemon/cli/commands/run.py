"""``trib run``."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from tributary_daemon.cli import failures, targets, values
from tributary_daemon.cli.aside import Aside
from tributary_daemon.cli.commands.submit import declared
from tributary_daemon.cli.correlating import correlating, correlating_options
from tributary_daemon.cli.follow import follow, progress, progress_stream
from tributary_daemon.cli.known import imported
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.log_lines import WithLines
from tributary_daemon.cli.output import document, output_option
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.waiting import show_end
from tributary_daemon.daemon.options import WorkerOptions
from tributary_daemon.errors import NotPossible

_EPILOG = """\b
The work goes through the same database as everything else, but on queues of its own, which
only this command's processes serve. Shell steps run. Ctrl-C cancels the work and exits 130.

\b
Examples:
  trib run workflows/stdlib_census.yaml --import ./workflows/census.py --concurrency 2
  trib run workflows/order.yaml --import ./workflows/order.py -i order_id=o_1001 -o json
  trib run trib.noop.v1 --payload '{"n": 1}'"""


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
@click.option("--key", metavar="KEY", help="Idempotency key of the work.")
@click.option(
    "-l", "--label", "labels", multiple=True, type=values.pair, metavar="K=V", help="A label; repeatable."
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    type=values.module,
    metavar="MODULE",
    help="Module or ./file.py whose handlers to load; repeatable [env: TRIB_HANDLERS].",
)
@click.option(
    "--processes", type=click.IntRange(1, 1024), metavar="N", help="Processes; default: usable cores."
)
@click.option("--concurrency", type=click.IntRange(1, 10_000), metavar="N", help="Slots per process.")
@click.option("--no-cache", is_flag=True, help="Run each step, also those whose result is in the cache.")
@correlating_options
@output_option
def run(
    *,
    target: str,
    pairs: tuple[tuple[str, str], ...],
    payload: str | None,
    key: str | None,
    labels: tuple[tuple[str, str], ...],
    imports: tuple[str, ...],
    processes: int | None,
    concurrency: int | None,
    no_cache: bool,
    output: str,
    correlation_id: str | None,
    business_id: str | None,
    traceparent: str | None,
) -> int:
    """Run a workflow or an intent here and now, and show its result."""
    if target == "-" and payload == "-":
        raise click.UsageError("standard input holds either the workflow or the payload")
    ids: Any = correlating(correlation_id=correlation_id, business_id=business_id, traceparent=traceparent)
    what = targets.target(target, signatures=imported(imports))
    config = settings(handlers=imports, processes=processes, concurrency=concurrency)
    options = replace(WorkerOptions.of(config), enable_shell=True)
    with (
        Aside(drawn=output == "table" and sys.stdout.isatty()) as aside,
        late("daemons:private_worker")(config, options, say=failures.say, directory=what.directory) as client,
    ):
        given = targets.inputs(pairs, payload, lambda: declared(client, what))
        submitted = client.submit(
            what.work,
            given,
            idempotency_key=key,
            labels=values.mapping(labels, "-l") or None,
            cache=False if no_cache else None,
            strict=True,
            **ids,
        )
        failures.say_warnings(submitted.warnings)
        receipt: dict[str, Any] = document(submitted)
        shown = progress(output, verbose=True)
        aside.show(getattr(shown, "above", None))
        try:
            news = client.log_news(receipt["id"], streams=("stdout", "stderr"))
            # the tree stays below what handlers print
            lines = WithLines(shown, news, progress_stream(output), last=aside.caught_up)
            followed = follow(client, receipt["id"], lines)
        except KeyboardInterrupt:
            failures.say(f"\ncancelling {receipt['id']}")
            try:
                client.cancel(receipt["id"], reason="interrupted")
            except NotPossible:
                failures.say("it had ended already")
            return failures.INTERRUPTED
    show_end(followed, output, receipt)
    return followed.code
