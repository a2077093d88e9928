"""Objects that nothing refers to any more go, and no other."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tributary_daemon import Worker, app, handler
from tributary_daemon.errors import NotPossible
from tributary_daemon.hooks.blob import Blob
from tributary_daemon.hooks.blob_sweep import claim, owner, sweep
from tributary_daemon.sealing import sources

LONG = "long " * 100
DAY = timedelta(days=1)


@pytest.fixture
def blob(tmp_path):
    return Blob(url=str(tmp_path / "blobs"), threshold=200)


@pytest.fixture
def files(tmp_path):
    """Return a function that returns the names of objects; with an age, so old they all become first."""

    def look(age=None):
        found = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        for path in found if age is not None else ():
            os.utime(path, (time.time() - age, time.time() - age))
        return sorted(path.name for path in found)

    return look


def before():
    return datetime.now(UTC) - DAY


def test_what_is_old_and_referred_to_by_nothing_goes(blob, files):
    kept, gone = blob.store("", LONG), blob.store("", LONG * 2)
    inside = blob.store("acme", LONG * 3)
    outside = blob.store("acme", [inside, LONG])
    files(age=2 * 86_400)
    young = blob.store("", LONG * 4)
    texts = [json.dumps({"payload": {"deep": [kept]}}), json.dumps(json.dumps(outside))]
    counted = sweep(blob, lambda: texts, before(), dry_run=True)
    assert (counted.objects, counted.kept, counted.young, len(files())) == (1, 3, 1, 5)
    swept = sweep(blob, lambda: texts, before(), dry_run=False)
    assert swept.to_json() == {**counted.to_json(), "dry_run": False}
    assert swept.bytes == gone["$blob"]["bytes"]
    assert len(files()) == 4
    assert blob.load("acme", outside) == [LONG * 3, LONG]
    assert blob.load("", [kept, young]) == [LONG, LONG * 4]


def test_what_is_kept_again_while_a_sweep_looks_stays(blob, files):
    again = blob.store("", LONG)
    files(age=2 * 86_400)

    def texts():
        assert blob.store("", LONG) == again
        return []

    swept = sweep(blob, texts, before(), dry_run=False)
    assert (swept.objects, len(files())) == (0, 1)


def test_what_a_writer_left_that_died_goes_too(blob, files, tmp_path):
    kept = blob.store("", LONG)
    (path,) = list((tmp_path / "blobs").rglob("*.json"))
    path.with_name(f"{path.name}.17.4711").write_text("half")
    path.with_name("notes.txt").write_text("somebody's")
    files(age=2 * 86_400)
    assert sweep(blob, lambda: [json.dumps(kept)], before(), dry_run=False).objects == 1
    assert files() == [path.name, "notes.txt"]


def test_it_works_wherever_an_age_is_known():
    blob = Blob(url="memory://blobs/of/a/sweep", threshold=10)
    blob.store("", LONG)
    later = datetime.now(UTC) + DAY
    assert sweep(blob, list, later, dry_run=False).objects == 1
    assert sweep(blob, list, later, dry_run=False).objects == 0

    class Silent:
        def __init__(self, system):
            self.system = system

        def __getattr__(self, name):
            return getattr(self.system, name)

        def modified(self, path):
            raise NotImplementedError

    blob.store("", LONG)
    system, root = blob.files()
    blob._opened = Silent(system), root
    with pytest.raises(NotPossible, match="does not say when an object was written"):
        sweep(blob, list, later, dry_run=False)


@pytest.fixture
def swept(trib, tmp_path, database):
    """Return a function that runs `trib blobs sweep` with the hook of the test."""
    (tmp_path / "trib.toml").write_text(
        f'[[hooks]]\nuse = "blob"\nurl = "{tmp_path / "blobs"}"\nthreshold = "200B"\n'
    )

    def run(*args, code=0, **env):
        said = trib("blobs", "sweep", "-o", "json", *args, cwd=tmp_path, env=env)
        assert said.returncode == code, said.stderr
        return json.loads(said.stdout) if code == 0 else said.stderr

    return run


def test_all_that_the_database_holds_is_looked_through(blob, files, swept, database, tmp_path):
    @handler("sweep.echo.v1")
    def echo(text: str) -> dict:
        return {"again": text, "more": "m" * 300}

    with app.Client(database, hooks=[blob]) as client, Worker(client, hooks=[blob]):
        work = client.submit(echo, {"text": LONG}).wait(timeout=30)
        assert work.state == "completed"
        waiting = client.submit("sweep.nobody.v1", {"text": LONG * 2}).id
    blob.store("", "nobody's " * 100)
    files(age=2 * 86_400)
    assert swept("--dry-run") == {"objects": 1, "bytes": 902, "kept": 3, "young": 0, "dry_run": True}
    assert len(files()) == 4
    assert "whose objects" in swept(code=8)
    assert swept("--claim")["objects"] == 1
    assert swept()["objects"] == 0
    with app.Client(database, hooks=[blob]) as client:
        assert client.get(work.id).result == {"again": LONG, "more": "m" * 300}
        assert client.get(waiting).payload == {"text": LONG * 2}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from tributary.payloads where run_id = %s", (waiting,))
        connection.execute("update tributary.steps set payload = null where run_id = %s", (waiting,))
    assert swept("--older-than", "36h")["objects"] == 1


def test_what_is_encrypted_is_looked_into_or_nothing_is_removed(blob, files, swept, database, monkeypatch):
    key = sources.generate("k", None)
    monkeypatch.setenv("TRIB_ENCRYPTION_KEYS", key)
    with app.Client(database, hooks=[blob]) as client:
        work = client.submit("sweep.nobody.v1", {"text": LONG}).id
    monkeypatch.delenv("TRIB_ENCRYPTION_KEYS")
    files(age=2 * 86_400)
    assert "nothing is removed" in swept("--claim", code=8)
    assert swept(TRIB_ENCRYPTION_KEYS=key)["kept"] == 1
    monkeypatch.setenv("TRIB_ENCRYPTION_KEYS", key)
    with app.Client(database, hooks=[blob]) as client:
        assert client.get(work).payload == {"text": LONG}


def test_what_cannot_be_seen_as_a_whole_is_not_swept(swept, trib, tmp_path):
    assert "an hour at least" in swept("--older-than", "5m", code=2)
    assert "belongs to one tenant" in swept("--tenant", "acme", code=8)
    assert "cannot be looked through" in swept(code=8, TRIB_CACHE="memory")
    assert "leave it out" in swept("--claim", "--dry-run", code=2)
    assert swept("--claim", "--cache-purged", TRIB_CACHE="memory")["objects"] == 0
    (tmp_path / "trib.toml").write_text("")
    assert "no hook `blob` is configured" in swept(code=8)


def test_what_belongs_to_another_database_is_left_alone(blob, files, swept, tmp_path):
    blob.store("", LONG)
    claim(blob, "4711/16384")
    files(age=2 * 86_400)
    assert "belong to another database" in swept(code=8)
    assert swept("--dry-run")["objects"] == 1
    assert owner(blob) == "4711/16384"
    (tmp_path / "blobs" / "owner.json").write_text("[]")
    assert "is not what a sweep has written" in swept(code=8)
    assert swept("--claim")["objects"] == 1
    assert swept()["objects"] == 0
    assert owner(blob) not in {None, "4711/16384"}
