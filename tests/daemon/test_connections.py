"""Connections that are cut, and what a claim lost on its way back."""

from __future__ import annotations

import os
import signal
import socket
import threading

from psycopg.conninfo import conninfo_to_dict, make_conninfo


def test_a_cut_listen_connection_comes_back(desk, crew):
    worker = crew("--name", "ears")
    assert desk.cut("%listen%") == 1
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


class Proxy:
    """A TCP proxy of one server; `cut_after` swallows the reply to the next message that holds a text, and cuts."""

    def __init__(self, url):
        given = conninfo_to_dict(url)
        host, port = str(given["host"]), given.get("port") or 5432
        self._family = socket.AF_UNIX if host.startswith("/") else socket.AF_INET
        self._target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._needle = None
        self._lock = threading.Lock()
        self.cuts = 0
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_after(self, needle):
        self._needle = needle

    def close(self):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(self._family)
            server.connect(self._target)
            cut = threading.Event()
            for source, sink, watch in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, watch, cut), daemon=True).start()

    def _pump(self, source, sink, watch, cut):
        with source, sink:
            while True:
                try:
                    data = source.recv(65_536)
                    if not data:
                        return
                    if watch and self._needle is not None and self._needle in data:
                        with self._lock:
                            self._needle = None
                            self.cuts += 1
                        cut.set()
                    elif cut.is_set() and not watch:
                        # the server has done what it was asked; nobody hears of it
                        return
                    sink.sendall(data)
                except OSError:
                    return


def test_a_cut_between_claim_and_reply_leaves_no_row_stuck(desk, crew):
    proxy = Proxy(desk.url)
    try:
        crew(env={"TRIB_DATABASE_URL": proxy.url})
        for needle in (b"COMMIT", b"mark_started", b"COMMIT"):
            proxy.cut_after(needle)
            before = proxy.cuts
            usual = [desk.submit("t.note.v1", {"n": n}) for n in range(20)]
            once = [desk.submit("t.once.v1", {"gate": "gate"}) for _ in range(3)]
            desk.open()
            desk.wait(lambda: proxy.cuts > before, 20, "it was cut")  # noqa: B023
            for run in [*usual, *once]:
                desk.until(run, "completed")
            for run in once:
                assert len(desk.notes("began", run)) == 1
                assert desk.row(run)[1] == 1
    finally:
        proxy.close()
