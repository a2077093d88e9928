"""Shards for real: workers that share them, come, go and die; a process with several takes turns."""

from __future__ import annotations

import json
import os
import signal
import time

import psycopg
import pytest

from tributary_daemon import Client
from tributary_daemon.model.ids import slot_of

SHARDS = 4
FAST = {"TRIB_WORKER_SHARDS": "auto"}
OWN = """
    select w.name, tributary.served_shards(w.worker_id) from tributary.workers w
    where w.beat_at > clock_timestamp() - interval '10 seconds' order by w.worker_id
"""
# a shard whose oldest ready row has been ready for so long that somebody should have taken it
STUCK = """
    select coalesce(max(extract(epoch from clock_timestamp()) - s.seq / 1000000.0), 0)::float8
    from tributary.steps s where s.state = 'available'
"""


@pytest.fixture
def split(database):
    """Give the test's database its own number of shards, whatever that of the session."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into tributary.meta (key, value) values ('shards', %s)"
            " on conflict (key) do update set value = excluded.value",
            (str(SHARDS),),
        )
        yield connection


def served(connection):
    """Return {worker: its shards} of those that live."""
    return dict(connection.execute(OWN).fetchall())


def submit(connection, count):
    """Submit intents; return their ids."""
    rows = connection.execute(
        "select tributary.submit_intent('trib.noop.v1', '{}')::text from generate_series(1, %s)", (count,)
    ).fetchall()
    return [row[0] for row in rows]


def test_workers_share_the_shards_and_every_change_is_taken_over_within_15_seconds(
    split, worker, trib, eventually
):
    def start(name):
        return worker("--name", name, "--processes", 1, env=FAST)

    def spread(*names):
        found = served(split)
        return set(found) == set(names) and sorted(shard for own in found.values() for shard in own) == list(
            range(SHARDS)
        )

    def all_done(ids):
        return split.execute(
            "select count(*) = %s from tributary.steps where run_id = any (%s) and state = 'completed'",
            (len(ids), ids),
        ).fetchone()[0]

    def goes_on():
        """Each shard's work is done within 15 seconds."""
        ids = submit(split, 40)
        assert {slot_of(one) % SHARDS for one in ids} == set(range(SHARDS))
        eventually(lambda: all_done(ids), 15, "work of every shard is done")
        return ids

    ids = []
    first, second, third = start("one"), start("two"), start("three")
    eventually(lambda: spread("one", "two", "three"), 15, lambda: f"three share: {served(split)}")
    ids += goes_on()
    shown = json.loads(trib("workers", "-o", "json").stdout)
    assert {row["name"]: row["shards"] for row in shown} == served(split)
    assert all(row["spreads"] for row in shown)
    assert "(auto)" in trib("workers").stdout

    third.kill()
    began = time.monotonic()
    ids += goes_on()
    eventually(lambda: spread("one", "two"), 15 - (time.monotonic() - began), "two share after a SIGKILL")
    ids += goes_on()

    assert second.stop() == 0
    eventually(lambda: spread("one"), 15, "the last one serves all")
    ids += goes_on()

    start("four")
    eventually(lambda: spread("one", "four"), 15, "a new one gets its share")
    ids += goes_on()

    assert first.stop() == 0
    ids += goes_on()
    attempts = split.execute(
        "select count(*), max(attempt) from tributary.steps where run_id = any (%s)", (ids,)
    ).fetchone()
    assert attempts == (len(ids), 1), "nothing lost, each done once"


def test_a_stopped_worker_keeps_nobody_waiting_as_others_help(split, worker, eventually):
    """Its row beats no more only after ten seconds; what lies there for two is taken by its equals."""
    stopped = worker("--name", "stopped", "--processes", 1, env=FAST)
    worker("--name", "works", "--processes", 1, env=FAST)
    eventually(lambda: sorted(map(len, served(split).values())) == [2, 2], 15, "they share")

    os.killpg(stopped.pid, signal.SIGSTOP)
    try:
        ids = submit(split, 40)
        eventually(
            lambda: (
                split.execute(
                    "select count(*) from tributary.steps where run_id = any (%s) and state = 'completed'",
                    (ids,),
                ).fetchone()[0]
                == len(ids)
            ),
            9,
            "the other one helps before the first one counts as dead",
        )
    finally:
        os.killpg(stopped.pid, signal.SIGCONT)


def test_a_worker_serves_only_the_shards_it_was_told(split, worker, trib, eventually):
    worker("--shards", "1-2", "--name", "some", "--processes", 1)
    ids = submit(split, 40)
    mine = [one for one in ids if slot_of(one) % SHARDS in (1, 2)]
    state = "select run_id::text from tributary.steps where state = 'completed' order by 1"
    eventually(lambda: len(split.execute(state).fetchall()) == len(mine), 15, "its own are done")
    time.sleep(2.5)
    assert [row[0] for row in split.execute(state)] == sorted(mine), "and no others"
    assert json.loads(trib("workers", "-o", "json").stdout)[0]["shards"] == [1, 2]
    assert "shards 1-2" in trib("workers").stdout
    worker("--name", "all", "--processes", 1)
    eventually(lambda: len(split.execute(state).fetchall()) == len(ids), 15, "who serves all does the rest")


def test_a_worker_refuses_shards_that_are_not_there(split, trib):
    done = trib("worker", "--shards", "7", "--processes", 1)
    assert done.returncode != 0
    assert "the database has 4 shards, none of 7" in done.stderr + done.stdout
    assert trib("worker", "--shards", "3-1").returncode == 2


CHAIN = "name: w.chain.v1\nsteps:\n  s1: {task: trib.noop.v1}\n" + "".join(
    f"  s{n}: {{task: trib.noop.v1, needs: [s{n - 1}]}}\n" for n in range(2, 9)
)
# what a process has gone on with was claimed by the very statement that wrote its parent's end
GONE_ON = """
    select avg((child.claimed_at = parent.finished_at)::integer)::float8
    from tributary.steps child join tributary.steps parent using (shard, run_id)
    where child.step_id is not null and parent.step_id is not null and child.ordinal = parent.ordinal + 1
"""


def test_chains_go_on_in_a_shard_whose_turn_is_over(split, database, worker, eventually, tmp_path):
    path = tmp_path / "chain.yaml"
    path.write_text(CHAIN)
    with Client(database) as client:
        client.register(str(path))
    split.execute("select count(tributary.submit_workflow('w.chain.v1')) from generate_series(1, 1200)")
    worker("--processes", 1)
    eventually(
        lambda: split.execute("select bool_and(state = 'completed') from tributary.runs").fetchone()[0],
        60,
        "all runs are done",
    )
    assert split.execute(GONE_ON).fetchone()[0] > 0.6
