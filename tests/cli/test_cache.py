"""`trib cache`, `trib submit --no-cache`: what is kept, and what is gone past."""

from __future__ import annotations

import json

import psycopg
import pytest

from tributary_daemon.cli import cache_check
from tributary_daemon.config import Config
from tributary_daemon.store.cache.sqlite import open_store


@pytest.fixture
def kept(database):
    """Three results of two handlers, one of them expired, and one that is being made."""
    with psycopg.connect(database, autocommit=True) as sql:
        sql.execute(
            """
            insert into tributary.step_cache
                (shard, key, step_name, scope, state, value, created_at, expires_at, holder_seq)
            select 0, name, handler, 'global', state, value, now() - interval '2 hours', now() + lasts, seq
            from (values ('a', 't.price.v1', 'filled', '"12345678"', interval '1h', null),
                         ('b', 't.price.v1', 'filled', '1', interval '-1h', null),
                         ('c', 't.other.v1', 'filled', '1', null, null),
                         ('d', 't.price.v1', 'filling', null, interval '1h', 7))
                 as k (name, handler, state, value, lasts, seq)
            """
        )


def test_what_is_kept_is_shown_and_purged(trib, kept):
    rows = json.loads(trib("cache", "stats", "-o", "json").stdout)
    assert rows[0].pop("oldest").endswith("Z")
    assert rows[0] == {"step_name": "t.price.v1", "entries": 2, "filling": 1, "expired": 1, "bytes": 11}
    assert trib("cache", "stats", "-o", "name").stdout == "t.price.v1\nt.other.v1\n"
    table = trib("cache", "stats").stdout
    assert "being made" in table
    assert "2h00m ago" in table
    assert trib("cache", "purge", "--expired").stdout == "1 entry removed\n"
    assert trib("cache", "purge", "t.price.v1", "t.none.v1").stdout == "2 entries removed\n"
    assert json.loads(trib("cache", "purge", "--all", "-o", "json").stdout) == {"removed": 1}
    assert trib("cache", "stats").stdout == "the step cache is empty\n"


@pytest.mark.parametrize(
    ("words", "told"), [((), "say what"), (("t.price.v1", "--all"), "not both")], ids=["nothing", "both"]
)
def test_a_purge_says_what(trib, words, told):
    done = trib("cache", "purge", *words)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.parametrize(
    ("cache", "code", "told"),
    [
        ("off", 8, "the step cache is off"),
        ("memory", 8, "out of reach from here"),
        ("redis://:sesame@127.0.0.1:1/0", 7, "the step cache in redis://:***@127.0.0.1:1/0 does not answer"),
        ("mysql://127.0.0.1:1", 2, "names no database"),
        ("memcached://x", 2, "sqlite://…"),
    ],
)
def test_a_cache_that_cannot_be_looked_at_says_why(trib, cache, code, told):
    done = trib("cache", "stats", env={"TRIB_CACHE": cache})
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
    assert "sesame" not in done.stderr


def test_another_store_is_looked_at_where_it_is(trib, tmp_path):
    path = tmp_path / "cache.db"
    open_store(f"sqlite:///{path}", 1).close()
    done = trib("cache", "stats", env={"TRIB_CACHE": f"sqlite:///{path}"})
    assert (done.returncode, done.stdout) == (0, "the step cache is empty\n"), done.stderr


def test_a_submit_may_go_past_the_cache_an_intent_has_none(trib, database, tmp_path):
    (tmp_path / "child.yaml").write_text(
        "steps: {a: {task: t.a.v1, cache: {scope: global}}, b: {task: t.b.v1}}\n"
    )
    (tmp_path / "flow.yaml").write_text(
        "steps: {c: {workflow: child.yaml}, d: {task: t.a.v1, cache: {}}, e: {task: t.b.v1}}\n"
    )
    run = trib("submit", tmp_path / "flow.yaml", "--no-cache", "-o", "name").stdout.strip()
    again = trib("rerun", run, "-o", "name").stdout.strip()
    with psycopg.connect(database) as sql:
        for each in (run, again):
            told = sql.execute(
                "select s.step_id from tributary.steps s"
                " join tributary.payloads p using (shard, run_id, ordinal)"
                " where s.run_id = %s and p.options #> '{cache,value}' = 'false' order by 1",
                (each,),
            ).fetchall()
            # the sub-workflow hands it on
            assert told == [("c",), ("d",)]
    refused = trib("submit", "t.a.v1", "--no-cache")
    assert (refused.returncode, "an intent has no cache" in refused.stderr) == (3, True)


@pytest.mark.parametrize(
    ("cache", "level", "told"),
    [
        ("off", "ok", "each step runs"),
        ("memory", "ok", "for itself alone"),
        ("sqlite:///cache.db", "ok", "sqlite:///cache.db"),
        ("redis://:sesame@127.0.0.1:1", "warn", "redis://:***@127.0.0.1:1 does not answer"),
        ("mysql://h", "fail", "names no database"),
        ("postgres", None, None),
    ],
)
def test_the_doctor_asks_the_cache(tmp_path, monkeypatch, cache, level, told):
    monkeypatch.chdir(tmp_path)
    found = list(cache_check.examine(Config(cache=cache)))
    assert [finding.level for finding in found] == ([level] if level else [])
    assert all(told in finding.message for finding in found)
