"""A database that does not serve for a while: said once, told by the health, survived; nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from tests.daemon.sites import desk_of, small_disk, watched
from tests.own_server import OwnServer, programs
from tributary_daemon.store.migrations import Migrator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
FULL = "the disk of the database is full"
CUT = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'"


@pytest.fixture(scope="module")
def site(request, tmp_path_factory, eventually):
    """One server for all tests of the module, and one worker that logs in as an ordinary user."""
    server = OwnServer(programs(request), "autovacuum = off")
    home = tmp_path_factory.mktemp("site")
    disk = server.directory / "disk"
    disk.mkdir()
    try:
        server.start()
        with small_disk(disk, "40m") as has_disk, server.admin() as admin:
            server.own(disk)
            admin.execute("create role app login password 'one'")
            if has_disk:
                admin.execute(f"create tablespace small location '{disk}'")
            where = "tablespace small" if has_disk else ""
            admin.execute(f"create database work owner app {where}")
            hba = server.data / "pg_hba.conf"
            hba.write_text(f"host all app 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
            admin.execute("select pg_reload_conf()")
            url = server.url("work", "app:one")
            Migrator(url).up()
            with (
                watched(url, home, "site", eventually) as worker,
                desk_of(server.url("work"), home, eventually) as desk,
            ):
                desk.sql.execute("create table effects (id text, attempt int, pid int)")
                desk.sql.execute("grant all on effects to app")
                yield SimpleNamespace(
                    server=server, admin=admin, worker=worker, desk=desk, url=url,
                    disk=disk if has_disk else None,
                )  # fmt: skip
            server.stop()
    finally:
        server.close()


@contextmanager
def held_through(site, gate, eventually):
    """Have an attempt run through what happens in the block; it ends well, once, and so does new work."""
    desk, worker = site.desk, site.worker
    pid = desk.pids()
    held = desk.submit("t.hold.v1", {"gate": gate})
    desk.noted("began", held)
    yield held
    eventually(lambda: worker.ready()[0] == 200, 60, lambda: f"ready again: {worker.ready()}")
    desk.open(gate)
    desk.until(held, "completed", 60)
    desk.until(desk.submit("t.note.v1"), "completed", 60)
    assert desk.row(held)[1] == 1, "no attempt was doubled"
    assert len(desk.notes("began", held)) == 1
    assert desk.errors(held) == []
    assert desk.pids() == pid, "its processes live on"
    assert worker.process.poll() is None


def lost_and_back(worker, since, eventually, words):
    """Wait until an outage is over for all of a worker; each reason was said once, and what to do."""

    def over():
        # processes that were replaced meanwhile do not speak any more
        away = {line["process"] for line in worker.said("database lost", since)}
        gone = {line["process"] for line in worker.said("process died", since)}
        return away and away <= gone | {line["process"] for line in worker.said("database back", since)}

    eventually(over, 60, worker.log)
    told = worker.said("database lost", since)
    # statements that are fast enough are served, though others are cut: an outage ends, and another begins
    ends = [(line["process"], line["timestamp"]) for line in worker.said("database back", since)]
    outages = [
        sum(process == line["process"] and at < line["timestamp"] for process, at in ends) for line in told
    ]
    reasons = {(line["process"], line["error"], n) for line, n in zip(told, outages, strict=True)}
    assert len(reasons) == len(told)
    assert max(Counter(outages).values()) <= 6
    named = [line for line in told if words in line["error"]]
    assert named
    assert all(line["hint"] for line in named)


@contextmanager
def hardly_busy(pid):
    """A process waits through the block: it takes less than a tenth of a core."""
    began, used = time.monotonic(), cpu_seconds(pid)
    yield
    assert cpu_seconds(pid) - used < 0.1 * (time.monotonic() - began) + 0.05


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def refusals(server):
    """Return how often a server has refused something."""
    return len(re.findall(r"(?:ERROR|FATAL): ", server.log()))


# (what an operator does, how it is undone, what log and health say)
CONDITIONS = {
    "only reads": (
        "alter role app set default_transaction_read_only = on; {cut}",
        "alter role app reset default_transaction_read_only; {cut}",
        "this server only reads",
    ),
    "password changed": (
        "alter role app password 'two'; {cut}", "alter role app password 'one'", "login refused",
    ),
    "no connection left": (
        "alter role app connection limit 0; {cut}", "alter role app connection limit -1",
        "no free connection left",
    ),
    "statements cut": (
        "alter role app set statement_timeout = 1; {cut}", "alter role app reset statement_timeout; {cut}",
        "cancelled the statement",
    ),
}  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "condition",
    [pytest.param(name, marks=[pytest.mark.outages] if name != "only reads" else []) for name in CONDITIONS],
)
def test_it_says_so_once_and_goes_on_when_it_is_over(site, eventually, condition):
    goes_on(site, eventually, site.admin, *CONDITIONS[condition])


@pytest.mark.timeout(300)
def test_a_right_to_the_schema_is_withdrawn(site, eventually):
    begin, end = "revoke usage on schema tributary from app", "grant usage on schema tributary to app"
    goes_on(site, eventually, site.desk.sql, begin, end, "no permission")


@pytest.mark.timeout(300)
def test_the_schema_is_dropped_and_made_anew(site, eventually):
    worker, desk, since = site.worker, site.desk, site.worker.lines()
    desk.sql.execute("drop schema tributary cascade")
    eventually(lambda: "does not exist" in worker.reasons(), 60, worker.ready)
    before = refusals(site.server)
    eventually(lambda: refusals(site.server) > before + 4, 60, "it goes on trying")
    Migrator(site.url).up()
    eventually(lambda: worker.ready()[0] == 200, 60, worker.log)
    offered = "select count(*) from tributary.workflow_registry where workflow_name = 't.note.v1'"
    assert desk.one(offered) == (1,), "its handlers are known again"
    desk.until(desk.submit("t.note.v1"), "completed", 60)
    assert len(worker.said("worker fenced", since)) == 1
    lost_and_back(worker, since, eventually, "does not exist")


def test_the_page_says_what_the_log_says():
    page = PAGE.read_text(encoding="utf-8")
    said = [words for *_, words in CONDITIONS.values()]
    assert [words for words in [*said, FULL, "no permission", "does not exist"] if words not in page] == []


def goes_on(site, eventually, sql, begin, end, words):
    worker, since = site.worker, site.worker.lines()
    with held_through(site, f"gate-{since}", eventually):
        sql.execute(begin.format(cut=CUT))
        try:
            eventually(lambda: words in worker.reasons(), 60, worker.ready)
            eventually(
                lambda: any(words in line["error"] for line in worker.said("database lost", since)), 60
            )
            assert worker.ready()[0] == 503
            before = refusals(site.server)
            with hardly_busy(worker.process.pid):
                eventually(lambda: refusals(site.server) > before + 5, 60, "it goes on trying")
        finally:
            sql.execute(end.format(cut=CUT))
    lost_and_back(worker, since, eventually, words)


@pytest.mark.timeout(300)
def test_a_full_disk_delays_all_and_costs_nothing(site, eventually):
    if site.disk is None:
        pytest.skip("file systems cannot be mounted here")
    worker, desk, since = site.worker, site.desk, site.worker.lines()
    ballast, notes = site.disk / "ballast", []
    with held_through(site, "gate-disk", eventually):
        effect = desk.submit("t.effect.v1", {"gate": "room"})
        desk.noted("inserted", effect)
        try:
            fill(ballast)
            # what is dead by now stays, or its room would do for all that the worker writes
            with psycopg.connect(desk.url) as onlooker:
                onlooker.execute("set transaction isolation level repeatable read")
                onlooker.execute("select count(*) from effects")
                submit_until_refused(desk, notes)
                desk.open("room")
                eventually(lambda: met_full_disk(worker, desk, notes), 60, worker.ready)
        finally:
            ballast.unlink()
        desk.until(effect, "completed", 60)
        done = "select count(*) from tributary.steps where state = 'completed' and run_id = any (%s)"
        eventually(lambda: desk.one(done, notes) == (len(notes),), 60, "all that was recorded is done")
    lost_and_back(worker, since, eventually, FULL)
    assert desk.row(effect)[1] == 1, "its attempt does not count: the disk was at fault"
    assert desk.errors(effect) == []
    assert desk.one("select count(*) from effects where id = %s", effect) == (1,)
    ran = Counter(note["id"] for note in desk.notes("ran"))
    assert {ran[run] for run in notes} == {1}, "outcomes were kept until there was room for them"


def met_full_disk(worker, desk, ids):
    """Use up what room a try may have left, and return whether the worker has met the full disk, too."""
    submit_until_refused(desk, ids)
    return FULL in worker.reasons()


def fill(path):
    """Write until there is no room left."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(65_536))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return


def submit_until_refused(desk, ids):
    """Use up what room there is in pages of tables; what was acknowledged is in ``ids``."""
    for number in range(20_000):
        try:
            ids.append(desk.submit("t.note.v1", {"n": number, "x": "x" * 1_000}))
        except psycopg.errors.DiskFull:
            return
    raise AssertionError("there was room for everything")
