"""`python -m chaos`: workers under random faults for a while, then a checker of all that happened."""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from chaos import journal, plan, report, slots, workflows
from chaos.checker import Violation, check
from chaos.collect import collect
from chaos.faults import Faults
from chaos.history import History, load
from chaos.producers import Producers
from chaos.relay import Relay
from chaos.server import Server
from chaos.workers import PROCESSES, Worker, clock_library, environment
from tributary_daemon import Client, Migrator

if TYPE_CHECKING:
    from collections.abc import Callable

_AUDIT = Path(__file__).with_name("audit.sql")
_ANSWERS = 90.0  # seconds that submits get for their answers, after the last fault
_ENDS = 240.0  # seconds that the work gets for its end
_LIMIT = 3
_UNFINISHED = """
    select (select count(*) from tributary.steps
            where state not in ('completed', 'skipped', 'cancelled', 'discarded'))
         + (select count(*) from tributary.runs where finished_at is null)
"""


def main() -> int:
    """Run the chaos that the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long faults come (default 600)")
    parser.add_argument("--seed", type=int, help="repeats a run: the same faults, the same submissions")
    parser.add_argument("--folder", type=Path, help="where everything is kept")
    parser.add_argument(
        "--only", action="append", help="a kind of fault; the others are left out (repeatable)"
    )
    parser.add_argument(
        "--check", type=Path, metavar="FOLDER", help="look at a history that was kept, once more"
    )
    options = parser.parse_args()
    if options.check:
        return _judge(load(options.check / "history.jsonl"), options.check)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix=f"trib-chaos-{seed}-"))
    folder.mkdir(parents=True, exist_ok=True)
    wanted = frozenset(options.only or ())
    if unknown := wanted - set(plan.KINDS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(plan.KINDS)}")
    print(f"chaos: seed {seed}, {options.seconds:g} s, everything is kept in {folder}", flush=True)
    history = _run(seed, options.seconds, folder, wanted)
    history.save(folder / "history.jsonl")
    code = _judge(history, folder)
    print(f"seed {seed}, kept in {folder}; again: make chaos SECONDS={options.seconds:g} SEED={seed}")
    return code


def _judge(history: History, folder: Path) -> int:
    violations = check(history)
    print(report.figures(history))
    print(report.verdict(history, violations), flush=True)
    _keep_violations(history, violations, folder)
    return 1 if violations else 0


def _keep_violations(history: History, violations: list[Violation], folder: Path) -> None:
    told = [f"[{v.rule}] {v.message}\n{report.story(history, v.key) if v.key else ''}\n" for v in violations]
    (folder / "violations.txt").write_text("\n".join(told), encoding="utf-8")


def _run(seed: int, seconds: float, folder: Path, wanted: frozenset[str]) -> History:
    executions = folder / "executions"
    executions.mkdir()
    history = History()
    without: frozenset[str] = frozenset()
    with ExitStack() as stack:
        events = stack.enter_context((folder / "faults.log").open("w", encoding="utf-8", buffering=1))
        begin = time.monotonic()

        def say(text: str) -> None:
            events.write(f"{time.monotonic() - begin:8.2f} {time.monotonic():.2f} {text}\n")

        home = Path(tempfile.mkdtemp(prefix="trib-chaos-server-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o755)
        server = stack.enter_context(Server(home / "server"))
        stack.callback(_keep_log, home / "server" / "postgres.log", folder)
        library = clock_library(folder)
        if not server.has_disk:
            without |= {"fill_disk"}
            print(f"no fault fill_disk: {server.without_disk}")
        if library is None:
            without |= {"jump_clock"}
            print("no fault jump_clock: there is no C compiler")
        planned = plan.make(seed, seconds, wanted=wanted, without=without)
        (folder / "plan.json").write_text(planned.to_json(), encoding="utf-8")
        _prepare(server.url, folder)
        relay = stack.enter_context(Relay(server.url))
        workers = _workers(stack, server.url, relay.url, folder, environment(executions, library))
        with psycopg.connect(server.url, autocommit=True) as connection:
            _wait(
                lambda: (
                    _count(connection, "select count(*) from tributary.processes") == len(workers) * PROCESSES
                ),
                60,
                "workers",
            )
        begin = time.monotonic()
        faults = Faults(server, workers, relay, say)
        producers = Producers(server.url, planned.submissions, begin)
        producers.start()
        for fault in planned.faults:
            _pass(begin + fault.at, workers)
            faults.begin(fault)
        _pass(begin + seconds, workers)
        say("healing")
        faults.heal()
        say("healed")
        try:
            producers.finish(_ANSWERS)
            _await_ends(server.url, workers)
        except RuntimeError as error:
            say(str(error))
            history.departures.append(str(error))
        say("all has ended")
        met, all_slots = slots.prove(server.url, len(workers), folder / "slots")
        if met < all_slots:
            history.departures.append(f"{met} attempts run at once, and there are {all_slots} slots")
        for worker in workers:
            worker.drain()
        history.departures += [departure for worker in workers for departure in worker.departures]
        history.departures += producers.refused
        history.submissions += sorted(producers.submissions, key=lambda sent: sent.number)
        history.acts += producers.acts
        history.executions += journal.read(executions)
        collect(server.url, history)
    return history


def _prepare(url: str, folder: Path) -> None:
    Migrator(url).up()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_AUDIT.read_bytes())
    with Client(url) as client:
        for name, source in workflows.SOURCES.items():
            path = folder / f"{name}.yaml"
            path.write_text(source, encoding="utf-8")
            client.register(path)
        client.set_queue("narrow", concurrency=_LIMIT)


def _workers(
    stack: ExitStack, url: str, relayed: str, folder: Path, environment: dict[str, str]
) -> list[Worker]:
    workers = []
    for number in range(plan.WORKERS):
        at = relayed if number == plan.BEHIND_RELAY else url
        worker = Worker(f"worker-{number}", at, folder, environment)
        stack.callback(worker.end)
        worker.start()
        workers.append(worker)
    return workers


def _pass(until: float, workers: list[Worker]) -> None:
    """Let time pass, and look after the workers meanwhile."""
    while (left := until - time.monotonic()) > 0:
        for worker in workers:
            worker.keep()
        time.sleep(min(0.2, left))


def _await_ends(url: str, workers: list[Worker]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:

        def ended() -> bool:
            for worker in workers:
                worker.keep()
            return _count(connection, _UNFINISHED) == 0

        _wait(ended, _ENDS, "the work")


def _count(connection: psycopg.Connection[tuple[int, ...]], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _wait(probe: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come to an end within {seconds:g} s")
        time.sleep(0.2)


def _keep_log(log: Path, folder: Path) -> None:
    if log.exists():
        shutil.copyfile(log, folder / "postgres.log")


if __name__ == "__main__":
    sys.exit(main())
