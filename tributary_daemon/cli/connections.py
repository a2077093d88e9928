"""What ``trib doctor`` says about connections: room on the server, and what stands between."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tributary_daemon.cli.findings import Finding
from tributary_daemon.daemon import budget
from tributary_daemon.store import pooler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tributary_daemon.config import Config
    from tributary_daemon.store.server import ServerRow
    from tributary_daemon.store.watched import Watched

_LOWER = "raise max_connections, lower --processes or TRIB_STEP_CONNECTIONS, or put PgBouncer in front"


def own(connection: Watched, url: str, row: ServerRow, config: Config) -> Iterator[Finding]:
    """Look at what a worker of this configuration would take.

    Args:
        connection: open, autocommit.
        url: where it leads.
        row: what the server says.
        config: settings.
    """
    processes = config.processes or _cores()
    need = budget.of_worker(processes, config.step_connections or config.concurrency)
    takes = (
        f"a worker with {processes} process{'es' if processes > 1 else ''} takes {need.always},"
        f" up to {need.most} with step.connection()"
    )
    if connection.pooled:
        yield _pooler(config, shared=pooler.shares_servers(connection, url))
        yield Finding("connections", "ok", f"{takes}; of the pooler (max_client_conn), not of the server")
    elif _room(row) < need.most:
        yield Finding("connections", "warn", f"{_described(row)}; {takes}", _LOWER)
    else:
        yield Finding("connections", "ok", f"{_described(row)}; {takes}")


def fleet(row: ServerRow, workers: Sequence[Any], config: Config, *, pooled: bool) -> Iterator[Finding]:
    """Look at what the workers that are alive take together.

    Args:
        row: what the server says.
        workers: documents of those that are alive. What each allows its steps is not known: this
            configuration's setting is assumed, or the worker's own concurrency.
        config: settings.
        pooled: connections are the pooler's, which nobody here can ask.
    """
    if pooled or not workers:
        return
    needs = [
        budget.of_worker(max(1, len(worker["processes"])), config.step_connections or worker["concurrency"])
        for worker in workers
    ]
    always, most = sum(need.always for need in needs), sum(need.most for need in needs)
    message = (
        f"{len(workers)} worker{'s' if len(workers) > 1 else ''} alive: {always},"
        f" up to {most} with step.connection(); {_described(row)}"
    )
    if _room(row) < most:
        yield Finding("fleet connections", "warn", message, _LOWER)
    else:
        yield Finding("fleet connections", "ok", message)


def _pooler(config: Config, *, shared: bool) -> Finding:
    mode = "in transaction mode" if shared else "that gives each client a server of its own (session mode?)"
    message = f"a pooler {mode} stands between: nothing is prepared"
    if config.listen_url is None:
        return Finding(
            "pooler",
            "warn",
            f"{message}, and idle workers poll every {config.poll_interval:g} s",
            "set TRIB_LISTEN_URL to the server itself, then work is taken at once",
        )
    return Finding("pooler", "ok", f"{message}; LISTEN goes past it")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _room(row: ServerRow) -> int:
    return row.max_connections - row.reserved - (row.connections - row.ours)


def _described(row: ServerRow) -> str:
    others = row.connections - row.ours
    return (
        f"room for {_room(row)} (max_connections {row.max_connections}, {row.reserved} reserved,"
        f" {others} of other programs)"
    )
