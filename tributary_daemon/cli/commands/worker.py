"""``trib worker``."""

from __future__ import annotations

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.daemon.options import WorkerOptions

_EPILOG = """\b
SIGTERM or Ctrl-C drains: nothing new is claimed, what runs is finished; after --drain-timeout the
rest is given back. A second signal does so at once. A drained worker exits 0.

\b
Examples:
  trib worker
  trib worker --queues default,heavy:4 --import billing.handlers
  trib worker --names 'billing.%' --processes 2 --concurrency 20"""


@click.command(cls=Command, epilog=_EPILOG)
@click.option(
    "--queues",
    type=values.queues,
    metavar="Q[:N],...",
    help="Queues to serve; heavy:4 runs four of heavy at once over the whole worker [default: default].",
)
@click.option(
    "--names",
    "names",
    multiple=True,
    metavar="PATTERN",
    help="Claim only such names, e.g. 'billing.%'; repeatable.",
)
@click.option(
    "--shards",
    metavar="SHARDS",
    help="Shards to serve: all, auto for a share of them, or e.g. 0-3,7 [env: TRIB_WORKER_SHARDS].",
)
@click.option(
    "--processes", type=click.IntRange(1, 1024), metavar="N", help="Processes; default: usable cores."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), metavar="N", help="Slots per process [default: 10]."
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    type=values.module,
    metavar="MODULE",
    help="Module or ./file.py whose handlers to load; repeatable [env: TRIB_HANDLERS].",
)
@click.option("--name", metavar="NAME", help="Name of this worker [default: host name and process id].")
@click.option(
    "--drain-timeout",
    type=values.duration,
    metavar="DURATION",
    help="How long a drain waits for what runs [default: 60s].",
)
@click.option(
    "--recycle-steps",
    type=click.IntRange(1),
    metavar="N",
    help="Replace a process after N finished steps [default: never].",
)
@click.option(
    "--recycle-age",
    type=values.duration,
    metavar="DURATION",
    help="Replace a process at this age, e.g. 12h [default: never].",
)
@click.option(
    "--recycle-memory",
    metavar="SIZE",
    help="Replace a process whose resident memory reaches this, e.g. 1GiB [default: never].",
)
@click.option(
    "--health",
    metavar="HOST:PORT",
    help="Answer /healthz and /readyz there; port 0 for a free one [env: TRIB_HEALTH_LISTEN].",
)
@click.option("--enable-shell", is_flag=True, default=None, help="Run the shell steps of workflows too.")
def worker(
    *,
    queues: str | None,
    names: tuple[str, ...],
    shards: str | None,
    processes: int | None,
    concurrency: int | None,
    imports: tuple[str, ...],
    name: str | None,
    drain_timeout: float | None,
    recycle_steps: int | None,
    recycle_age: float | None,
    recycle_memory: str | None,
    health: str | None,
    enable_shell: bool | None,
) -> int:
    """Start a worker and serve queues until it is stopped."""
    config = settings(
        queues=queues,
        names=tuple(part for given in names for part in given.split(",")),
        worker_shards=shards,
        processes=processes,
        concurrency=concurrency,
        handlers=imports,
        worker_name=name,
        drain_timeout=drain_timeout,
        recycle_steps=recycle_steps,
        recycle_age=recycle_age,
        recycle_memory=recycle_memory,
        health_listen=health,
        enable_shell=enable_shell,
    )
    options = WorkerOptions.of(config)
    code: int = late("daemons:run_worker")(config, options, say=failures.say)
    return code
