"""The primary is killed under load and its standby promoted; servers that only read for a while."""

from __future__ import annotations

import re
import threading
import time

import psycopg
import pytest

from tests.own_server import programs
from tests.replication import Pair
from tributary_daemon.app import Client
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store import db
from tributary_daemon.store.migrations import Migrator


@pytest.fixture
def pair(request):
    """A primary and a synchronous standby of the kind that the other tests use."""
    started = Pair(programs(request))
    try:
        started.start()
        Migrator(started.url).up()
        yield started
    finally:
        started.close()


class Producer:
    """Submits without a pause; what was acknowledged is in ``ids``."""

    def __init__(self, url):
        self.ids = []
        self.refused = 0
        self._url = url
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)
        self._thread.start()

    def stop(self):
        self._enough.set()
        self._thread.join(60)

    def _produce(self):
        number = 0
        with Client(self._url) as client:
            while not self._enough.is_set():
                try:
                    receipt = client.submit("t.note.v1", {"n": number}, idempotency_key=f"n{number}")
                except DatabaseUnreachable:
                    # the same key once more: it is stored once, whatever became of the first try
                    self.refused += 1
                    self._enough.wait(0.05)
                    continue
                self.ids.append(str(receipt.id))
                number += 1


@pytest.mark.timeout(180)
def test_the_primary_is_killed_and_the_standby_promoted(pair, crew, trib_env, tmp_path, eventually):
    trib_env["TRIB_DATABASE_URL"] = pair.url
    with psycopg.connect(pair.alone(0), autocommit=True) as sql:
        sql.execute("create table effects (id text, attempt int, pid int)")
    worker = crew("--name", "over", "--concurrency", "4", processes=2)
    producer = Producer(pair.url)
    with Client(pair.url) as client:
        held = [str(client.submit("t.hold.v1", {"gate": "gate"}).id) for _ in range(2)]
        effect = str(
            client.submit(
                "t.effect.v1", {"gate": "gate"}, retry={"delay": 0.05, "backoff": "fixed"}, max_attempts=3
            ).id
        )
        notes = tmp_path / "notes.jsonl"
        eventually(lambda: notes.exists() and "inserted" in notes.read_text(), 20, "it inserted")
        eventually(lambda: len(producer.ids) > 50, 30, "there is load")
        pair.kill(0)
        before = len(producer.ids)
        said = re.compile("database lost.*takes writes")
        eventually(lambda: len(said.findall(worker.log())) >= 2, 30, "the worker has noticed")
        # for long enough that the pauses between its tries have grown
        eventually(lambda: producer.refused > 5, 30, "and so have producers")
        pair.promote()
        promoted = time.monotonic()
        probe = eventually(lambda: len(producer.ids) > before and producer.ids[-1], 20, "submits go on")
        print(f"submits went on {time.monotonic() - promoted:.2f} s after the promotion")
        client.wait(probe, timeout=20)
        recovered = time.monotonic() - promoted
        print(f"the worker went on {recovered:.2f} s after the promotion")
        producer.stop()
        (tmp_path / "gate").touch()
        for run in [*producer.ids, *held, effect]:
            assert client.wait(run, timeout=30).state == "completed"
    with psycopg.connect(pair.alone(1), autocommit=True) as sql:
        # nothing that was acknowledged is missing, and effects are there once
        stored = {str(row[0]) for row in sql.execute("select run_id from tributary.steps").fetchall()}
        assert {*producer.ids, *held, effect} <= stored
        assert len(stored) == len(producer.ids) + 3
        assert sql.execute("select count(*) from effects").fetchone() == (1,)
        attempts = sql.execute(
            "select max(attempt) from tributary.steps where run_id = any (%s)", (held,)
        ).fetchone()
    assert attempts == (1,)
    assert len(said.findall(worker.log())) <= 3, "once, however often they try"
    assert recovered < 20
    assert "process died" not in worker.log()
    assert worker.stop() == 0


def test_a_standby_is_passed_over_and_named_when_it_is_all_there_is(pair):
    swapped = f"postgresql://trib@127.0.0.1:{pair.ports[1]},127.0.0.1:{pair.ports[0]}/postgres"
    with db.connect(swapped, application_name="test") as connection:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (False,)
        assert connection.info.port == pair.ports[0]
    pair.kill(0)
    with pytest.raises(DatabaseUnreachable) as caught:
        db.connect(pair.url, application_name="test")
    assert f"127.0.0.1:{pair.ports[0]}, 127.0.0.1:{pair.ports[1]}" in caught.value.message
    assert "takes writes" in caught.value.message
    assert "promote" in caught.value.hint


@pytest.mark.one_shard("over several a process without work only reads, and loses nothing")
@pytest.mark.parametrize("name", ["t.late.v1", "t.alate.v1"])
def test_a_server_that_only_reads_is_no_reason_to_fail_an_attempt(desk, crew, name):
    worker = crew("--name", "reads")
    late = desk.submit(name, {"gate": "gate"})
    desk.noted("began", late)
    database = psycopg.conninfo.conninfo_to_dict(desk.url)["dbname"]
    desk.sql.execute(f"alter database {database} set default_transaction_read_only = on")
    desk.open()
    # its own connection is new and cannot write; the others still can
    desk.noted("refused", late, count=2)
    assert desk.cut("trib%") >= 2
    said = re.compile("database lost.*read-only")
    desk.wait(lambda: len(said.findall(worker.log())) >= 2, 10, "now all of them only read")
    desk.sql.execute(f"alter database {database} reset default_transaction_read_only")
    desk.until(late, "completed")
    assert desk.row(late)[1] == 1
    assert desk.errors(late) == []
    assert desk.one("select count(*) from effects") == (1,)


@pytest.mark.parametrize("name", ["t.late.v1", "t.alate.v1"])
def test_what_runs_at_most_once_fails_rather_than_run_again(desk, crew, name):
    crew("--name", "once")
    late = desk.submit(name, {"gate": "gate"}, max_attempts=1)
    desk.noted("began", late)
    database = psycopg.conninfo.conninfo_to_dict(desk.url)["dbname"]
    desk.sql.execute(f"alter database {database} set default_transaction_read_only = on")
    desk.open()
    desk.until(late, "discarded", 20)
    desk.sql.execute(f"alter database {database} reset default_transaction_read_only")
    assert len(desk.notes("began", late)) == 1
    assert desk.row(late)[1] == 1
    assert desk.one("select count(*) from effects") == (0,)


@pytest.mark.parametrize("name", ["t.late.v1", "t.alate.v1"])
def test_nor_is_a_server_that_goes_while_it_is_asked_whether_it_only_reads(desk, crew, name):
    crew("--name", "goes")
    late = desk.submit(name, {"gate": "gate", "cut": True})
    desk.noted("began", late)
    database = psycopg.conninfo.conninfo_to_dict(desk.url)["dbname"]
    desk.sql.execute(f"alter database {database} set default_transaction_read_only = on")
    desk.open()
    desk.noted("refused", late)
    desk.sql.execute(f"alter database {database} reset default_transaction_read_only")
    desk.until(late, "completed")
    assert desk.row(late)[1] == 1
    assert desk.errors(late) == []
