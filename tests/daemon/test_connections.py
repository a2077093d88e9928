"""Connections that are cut, and what a claim lost on its way back."""

from __future__ import annotations

import os
import signal
import socket
import threading

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo


def test_a_cut_listen_connection_comes_back(desk, crew):
    worker = crew("--name", "ears")
    desk.wait(lambda: desk.cut("%listen%") == 1, 10, "its listening connection is there")
    desk.wait(
        lambda: desk.one("select count(*) from pg_stat_activity where application_name = 'trib ears listen'"
                         " and datname = current_database() and query ilike 'listen%%'") == (1,),
        20, "it listens again",
    )  # fmt: skip
    run = desk.submit("t.note.v1")
    desk.until(run, "completed")
    assert worker.process.poll() is None


def test_all_connections_are_cut_while_steps_run_and_nothing_is_lost_or_doubled(desk, crew):
    worker = crew()
    holds = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(5)]
    desk.noted("began", count=5)
    ids = [desk.submit("t.note.v1", {"n": n}) for n in range(5)]
    effect = desk.submit("t.effect.v1", {"gate": "other"}, retry='{"delay": 0.05, "backoff": "fixed"}')
    desk.noted("inserted", effect)
    for _ in range(3):
        assert desk.cut("trib%") >= 1
        probe = desk.submit("t.note.v1")
        desk.until(probe, "completed")
    desk.open()
    desk.open("other")
    for run in [*holds, *ids, effect]:
        desk.until(run, "completed")
    assert {desk.row(run)[1] for run in [*holds, *ids]} == {1}
    assert len(desk.notes("began")) == 5
    assert desk.row(effect)[1] == 2
    assert desk.one("select count(*), max(attempt) from effects") == (1, 2)
    assert "process died" not in worker.log()


def test_a_step_killed_between_its_insert_and_its_end_leaves_one_row(desk, crew):
    worker = crew()
    run = desk.submit("t.effect.v1", {"gate": "never", "first": True})
    (note,) = desk.noted("inserted", run)
    os.kill(note["pid"], signal.SIGKILL)
    desk.until(run, "completed")
    assert desk.sql.execute("select attempt from effects").fetchall() == [(2,)]
    assert worker.process.poll() is None


def test_a_claim_that_commits_after_its_connection_was_given_up_is_released(desk, crew):
    worker = crew("--name", "late")
    # a process is ready before its connection is made
    desk.wait(lambda: desk.cut("trib late/1") == 1, 10, "its connection is there")
    desk.wait(lambda: "database lost" in worker.log(), 10, "it lost a connection")
    run = desk.submit("t.note.v1", queue="elsewhere")
    # what the old connection of the process would do, whose reply nobody reads any more
    claimed = desk.sql.execute(
        "select c.run_id::text from generate_series(0, 15) as n"
        " cross join lateral tributary.claim_leases(n::smallint,"
        " (select process_id from tributary.processes), array['elsewhere'], array[0]::smallint[], array[''],"
        " array[0]::bigint[], array['t.note.v1'], 1) as c"
    ).fetchall()
    assert claimed == [(run,)]
    # it holds nothing, and yet it looks
    desk.until(run, "available", 10)
    assert desk.row(run)[1] == 0


def test_a_lock_that_somebody_keeps_delays_a_finish_and_loses_nothing(desk, crew):
    worker = crew()
    run = desk.run("steps: {a: {task: t.hold.v1, with: {gate: gate}}}")
    desk.noted("began")
    with psycopg.connect(desk.url) as other:
        other.execute("select from tributary.runs where run_id = %s for update", (run,))
        desk.open()
        desk.wait(lambda: "lock timeout" in worker.log(), 15, "it does not wait for ever")
    desk.until_run(run, "completed")
    assert desk.row(run, 1)[1] == 1
    assert len(desk.notes("began")) == 1
    assert "process died" not in worker.log()


@pytest.mark.parametrize("name", ["t.late.v1", "t.alate.v1"])
def test_an_attempt_that_asks_for_a_connection_during_an_outage_waits(desk, crew, name):
    worker = crew()
    run = desk.submit(name, {"gate": "gate"}, max_attempts=1)
    desk.noted("began", run)
    database = conninfo_to_dict(desk.url)["dbname"]
    with psycopg.connect(make_conninfo(desk.url, dbname="postgres"), autocommit=True) as admin:
        # nobody gets in any more; who is there is cut
        admin.execute(f"alter database {database} connection limit 0")
        admin.execute(f"alter database {database} allow_connections false")
        try:
            desk.cut("trib%")
            desk.open()
            said = "accepts no connection"
            desk.wait(lambda: worker.log().count(said) == 2, 20, "both have noticed that it is away")
            assert desk.row(run)[0] == "running"
        finally:
            admin.execute(f"alter database {database} allow_connections true")
            admin.execute(f"alter database {database} connection limit -1")
    desk.until(run, "completed")
    assert desk.errors(run) == []


class Proxy:
    """A TCP proxy of one server: once armed, it swallows the reply to a message of a child, and cuts."""

    def __init__(self, url):
        given = conninfo_to_dict(url)
        host, port = str(given["host"]), given.get("port") or 5432
        self._family = socket.AF_UNIX if host.startswith("/") else socket.AF_INET
        self._target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._left = 0
        self._connections = []
        self.cuts = 0
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def arm(self, messages):
        """Cut at the ``messages``-th message that a child sends from now on."""
        self._left = messages

    def close(self):
        # wakes the thread that accepts
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client, thread in self._connections:
            _end(client)
            thread.join(10)

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._connection, args=(client,), daemon=True)
            self._connections.append((client, thread))
            thread.start()

    def _connection(self, client):
        with client, socket.socket(self._family) as server:
            server.connect(self._target)
            cut = threading.Event()
            back = threading.Thread(target=self._replies, args=(server, client, cut), daemon=True)
            back.start()
            self._requests(client, server, cut)
            back.join()

    def _requests(self, client, server, cut):
        is_child = False
        while data := _received(client):
            if b"trib cut/1" in data:
                is_child = True
            elif is_child and self._left:
                self._left -= 1
                if not self._left:
                    cut.set()
            _send(server, data)
        _end(server)

    def _replies(self, server, client, cut):
        while data := _received(server):
            if cut.is_set():
                # the server has done what it was asked to; nobody hears of it
                self.cuts += 1
                break
            _send(client, data)
        _end(client)
        _end(server)


def _received(source):
    try:
        return source.recv(65_536)
    except OSError:
        return b""


def _send(sink, data):
    try:
        sink.sendall(data)
    except OSError:
        _end(sink)


def _end(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def test_a_cut_between_claim_and_reply_leaves_no_row_stuck(desk, crew):
    proxy = Proxy(desk.url)
    desk.open()
    try:
        crew("--name", "cut", env={"TRIB_DATABASE_URL": proxy.url})
        desk.until(desk.submit("t.note.v1"), "completed")
        for messages in (1, 2, 3, 4):
            with desk.sql.transaction():
                ids = [
                    desk.submit(name, {"gate": "gate"})
                    for name in ("t.hold.v1", "t.once.v1", "t.ahold.v1") * 4
                ]
                before = proxy.cuts
                proxy.arm(messages)
            desk.wait(lambda before=before: proxy.cuts > before, 20, "it was cut")
            for run in ids:
                desk.until(run, "completed")
                assert len(desk.notes("began", run)) == 1
                assert desk.row(run)[1] == 1
    finally:
        proxy.close()
