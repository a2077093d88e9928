"""What ``trib doctor`` looks at in the fleet: workers, leader, queues, names, dead letters, endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.cli import probe
from tributary_daemon.cli.findings import Finding
from tributary_daemon.cli.output import document
from tributary_daemon.cli.versions import installed
from tributary_daemon.errors import ConfigError
from tributary_daemon.model import durations
from tributary_daemon.store.migrations import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.client.fleet_records import FleetDocument
    from tributary_daemon.client.reader import Reader

OLD: Final = 60.0
"""Seconds after which what is ready is ready for too long."""

_PROBE: Final = 3.0


def examine(reader: Reader) -> Iterator[Finding]:
    """Look at everything that the database knows of the fleet."""
    workers = document(reader.workers())
    alive = [worker for worker in workers if worker["alive"]]
    queues = document(reader.queues())
    facts = reader.fleet()
    yield from _workers(workers, alive)
    yield from _leader(facts, alive)
    yield from _letters(reader)
    yield from _queues(queues, alive, facts)
    yield from _schedules(reader)
    yield from _names(facts, alive)


def endpoint(listen: str | None) -> Iterator[Finding]:
    """Ask the health endpoint that is configured on this machine, if any."""
    if listen is None:
        return
    try:
        host, port, path = probe.target(listen, "/readyz")
    except ConfigError:
        yield Finding("health", "ok", f"{listen}: the worker chooses its port, so it is not asked")
        return
    answer = probe.ask(host, port, path, _PROBE)
    if answer.well:
        yield Finding("health", "ok", f"{answer.document.get('name')} at {listen} is ready")
    elif answer.status is None:
        yield Finding(
            "health", "warn", f"nobody answers at {listen}: {answer.fault}", "start one: `trib worker`"
        )
    else:
        reasons = "; ".join(answer.document.get("reasons", [])) or answer.fault or f"status {answer.status}"
        name = answer.document.get("name") or "what answers"
        yield Finding(
            "health", "warn", f"{name} at {listen} is not ready: {reasons}", "`trib health` asks again"
        )


def _workers(workers: list[dict[str, Any]], alive: list[dict[str, Any]]) -> Iterator[Finding]:
    if alive:
        yield Finding("workers", "ok", f"{len(alive)} alive: {', '.join(row['name'] for row in alive)}")
    else:
        yield Finding("workers", "warn", "none is alive", "start one: `trib worker`")
    for worker in workers:
        if not worker["alive"]:
            yield Finding(
                "workers",
                "warn",
                f"{worker['name']} on {worker['host']} fell silent {durations.text(worker['beat_age'])} ago",
                f"see whether its machine or its process {worker['pid']} is stuck; its work goes to others",
            )
    for worker in alive:
        yield from _worker(worker)
    versions = sorted({worker["version"] for worker in alive} | ({installed()} if alive else set()))
    if len(versions) > 1:
        yield Finding(
            "versions",
            "warn",
            f"{', '.join(versions)} work side by side",
            "finish the upgrade: `trib workers` shows who runs what",
        )


def _worker(worker: dict[str, Any]) -> Iterator[Finding]:
    name = worker["name"]
    if worker["state"] == "paused" or worker["command"] == "pause":
        yield Finding(
            "workers", "warn", f"{name} is paused and claims nothing", f"`trib workers resume {name}`"
        )
    elif worker["state"] == "draining" or worker["command"] in {"drain", "stop"}:
        runs = sum(process["running"] for process in worker["processes"])
        yield Finding(
            "workers",
            "warn",
            f"{name} drains: {runs} still run",
            f"start another worker if none replaces it; `trib workers stop {name}` ends it at once",
        )
    else:
        missing = (worker["wanted"] or 0) - len(worker["processes"])
        if missing > 0:
            yield Finding(
                "workers",
                "warn",
                f"{name} has {len(worker['processes'])} of {worker['wanted']} processes",
                "they start, or die as they start: its log and its health endpoint say which",
            )
    for failure in worker["failures"]:
        module = failure.get("module", failure) if isinstance(failure, dict) else failure
        yield Finding("workers", "warn", f"{name} cannot import {module}", "`trib workers` shows the error")
    if worker["protocol"] != PROTOCOL:
        yield Finding(
            "versions",
            "warn",
            f"{name} speaks protocol {worker['protocol']}, this release {PROTOCOL}",
            "upgrade the older one before the next release drops its protocol",
        )


def _leader(facts: FleetDocument, alive: list[dict[str, Any]]) -> Iterator[Finding]:
    if facts.leader is not None:
        yield Finding("leader", "ok", f"{facts.leader} rescues and tidies up")
    elif alive:
        yield Finding(
            "leader",
            "warn",
            "nobody leads: nothing is rescued",
            "within seconds a worker takes over; if none does, look at their logs",
        )


def _letters(reader: Reader) -> Iterator[Finding]:
    letters = reader.dead_letters(limit=1_000)
    count = len(letters.items)
    if count:
        shown = f"{count}{'+' if letters.after else ''}"
        yield Finding("dead letters", "warn", shown, "`trib dlq list`, then `trib dlq requeue` or `drop`")
    else:
        yield Finding("dead letters", "ok", "none")


def _queues(
    queues: list[dict[str, Any]], alive: list[dict[str, Any]], facts: FleetDocument
) -> Iterator[Finding]:
    paused = [queue["name"] for queue in queues if queue["paused"]]
    served = {name.partition(":")[0] for worker in alive for name in worker["queues"]}
    lonely = [queue["name"] for queue in queues if queue["available"] and queue["name"] not in served]
    old = facts.oldest_age is not None and facts.oldest_age > OLD
    if paused:
        yield Finding("queues", "warn", f"paused: {', '.join(paused)}", "`trib queue resume NAME`")
    if lonely:
        yield Finding(
            "queues",
            "warn",
            f"work waits where no worker serves: {', '.join(lonely)}",
            "`trib worker --queues …`",
        )
    if old:
        yield Finding(
            "queues",
            "warn",
            f"in {facts.oldest_queue} work has been ready for {durations.text(facts.oldest_age or 0.0)}",
            "add workers or slots, or look why none takes it: `trib why ID`",
        )
    if not (paused or lonely or old):
        yield Finding("queues", "ok", f"{len(queues)} known, none paused")


def _schedules(reader: Reader) -> Iterator[Finding]:
    rows = document(reader.schedules(upcoming=1))
    wrong = [row for row in rows if row["error"]]
    late = [row for row in rows if row["overdue"] and not row["error"]]
    for row in wrong:
        yield Finding(
            "schedules",
            "warn",
            f"{row['name']} is {'' if row['state'] == 'disabled' else 'to be '}disabled: {row['error']}",
            f"mend it by `trib schedule add` or its file, then `trib schedule resume {row['name']}`",
        )
    for row in late:
        yield Finding(
            "schedules",
            "warn",
            f"{row['name']} has been due for {durations.text(row['overdue'])}",
            "a worker that leads fires it: start one, or see its log",
        )
    if rows and not (wrong or late):
        active = sum(row["state"] == "active" for row in rows)
        yield Finding("schedules", "ok", f"{len(rows)} known, {active} active")


def _names(facts: FleetDocument, alive: list[dict[str, Any]]) -> Iterator[Finding]:
    if facts.unoffered:
        yield Finding(
            "names",
            "warn",
            f"work waits under names that nobody has ever offered: {', '.join(facts.unoffered)}",
            "start a worker with their handlers: `trib worker --import MODULE`",
        )
    if facts.unserved and alive:
        yield Finding(
            "names",
            "warn",
            f"work is ready under names that no live worker claims: {', '.join(facts.unserved)}",
            "load their handlers somewhere, or widen --names; `trib handlers` lists what was offered",
        )
