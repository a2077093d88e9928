"""The disk of the WAL is full: the server stops itself, and workers wait for it as for any that is down."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import psycopg
import pytest

from tests.daemon.sites import desk_of, small_disk, watched
from tests.daemon.test_unusable import fill
from tests.own_server import OwnServer, programs
from tributary_daemon.store.migrations import Migrator

SETTINGS = "autovacuum = off\nmin_wal_size = 32MB\nmax_wal_size = 48MB"


@contextmanager
def server_with_wal_elsewhere(request):
    """Give a running server, and the small disk on which its WAL lies."""
    server = OwnServer(programs(request), SETTINGS)
    disk = server.directory / "wal"
    disk.mkdir()
    try:
        with small_disk(disk, "100m") as has_disk:
            if not has_disk:
                pytest.skip("file systems cannot be mounted here")
            server.make()
            wal = server.data / "pg_wal"
            shutil.copytree(wal, disk, dirs_exist_ok=True)
            for path in (disk, *disk.rglob("*")):
                server.own(path)
            shutil.rmtree(wal)
            wal.symlink_to(disk)
            server.launch()
            yield server, disk
            server.stop()
    finally:
        server.close()


@pytest.mark.outages
@pytest.mark.timeout(300)
def test_a_server_that_stops_for_want_of_wal_is_waited_for(request, tmp_path, eventually):
    with server_with_wal_elsewhere(request) as (server, disk):
        url = server.url()
        Migrator(url).up()
        with watched(url, tmp_path, "site", eventually) as worker:
            with desk_of(url, tmp_path, eventually) as desk:
                held = desk.submit("t.hold.v1", {"gate": "room"})
                desk.noted("began", held)
                fill(disk / "ballast")
                notes = submit_until_it_stops(desk)
            eventually(lambda: worker.ready()[0] == 503, 60, worker.ready)
            (disk / "ballast").unlink()
            server.stop()
            server.launch()
            with desk_of(url, tmp_path, eventually) as desk:
                desk.open("room")
                done = "select count(*) from tributary.steps where state = 'completed' and run_id = any (%s)"
                mine = [held, *notes]
                eventually(lambda: desk.one(done, mine) == (len(mine),), 60, "all that was acknowledged ran")
                eventually(lambda: worker.ready()[0] == 200, 60, worker.ready)
                assert len(desk.notes("began", held)) == 1
        assert "PANIC" in server.log(), "the server has met the full disk"
        told = worker.said("database lost")
        assert told
        assert all(line["hint"] for line in told)


def submit_until_it_stops(desk):
    """Submit until the server breaks the connection; return what was acknowledged."""
    ids = []
    for number in range(100_000):
        try:
            ids.append(desk.submit("t.note.v1", {"n": number, "x": "x" * 1_000}))
        except psycopg.OperationalError:
            return ids
    raise AssertionError("there was room for everything")
