"""Small payloads lie in the row of their step: where they are found, and what a submit writes."""

from __future__ import annotations

import json

import pytest
from psycopg.types.json import Jsonb

from tests.store import protocol_kit as kit
from tributary_daemon import app
from tributary_daemon.store import db, dead_letters, intents, runs
from tributary_daemon.store.migrations import Migrator

LARGE = {"text": "x" * 200}
WAL_LIMIT = 450  # bytes of a submit
COMMIT = 40  # of them, the record of its commit


@pytest.fixture(autouse=True)
def _invariants(connection):
    kit.offer(connection)
    yield
    kit.check_invariants(connection)


def submit(connection, payload, **options):
    given = "".join(f", {option} => %({option})s" for option in options)
    sql = f"select tributary.submit_intent(%(name)s, %(payload)s{given})::text"
    return connection.execute(sql, {"name": kit.NAME, "payload": Jsonb(payload), **options}).fetchone()[0]


def at_home(connection, run_id):
    return kit.scalar(connection, "select payload is not null from tributary.steps where run_id = %s", run_id)


@pytest.mark.parametrize(
    ("payload", "options", "home"),
    [
        ({"i": 1}, {}, True),
        ({}, {}, True),
        (None, {}, True),
        ("x" * 60, {}, True),
        (LARGE, {}, False),
        ({"i": 1}, {"max_attempts": 2}, False),
        ({"i": 1}, {"idempotency_key": "k"}, False),
    ],
)
def test_wherever_it_lies_everyone_reads_the_same(connection, payload, options, home):
    run_id = submit(connection, payload, **options)
    assert at_home(connection, run_id) is home
    assert (
        kit.scalar(connection, "select payload from tributary.workflow_intent where intent_id = %s", run_id)
        == payload
    )
    assert db.run(connection, intents.intent(run_id)).payload == payload
    assert [row.payload for row in db.run(connection, runs.payloads(run_id))] == [payload]
    process = kit.Process(connection)
    claimed = process.claim()
    assert json.loads(claimed[0].payload) == payload
    process.finish(claimed, "suspected")
    got = connection.execute(
        "select payload from tributary.claim(tributary.register_process('other', 'python', %s), %s, %s)",
        ([kit.NAME], ["default"], [kit.NAME]),
    ).fetchone()
    assert got == (payload,)
    # a row that was written again keeps it
    assert at_home(connection, run_id) is home


@pytest.mark.parametrize("payload", [{"i": 1}, LARGE])
def test_a_dead_letter_shows_it(connection, payload):
    run_id = submit(connection, payload)
    process = kit.Process(connection)
    process.finish(process.claim(), "aborted")
    assert db.run(connection, dead_letters.of(run_id, None))[0].payload == payload


def test_what_nobody_offers_yet_keeps_room_for_the_options_to_come(connection):
    run_id = kit.intent(connection, "t.later.v1")
    assert not at_home(connection, run_id)
    kit.offer(connection, "t.later.v1", timeout=5)
    options = kit.scalar(connection, "select options from tributary.payloads where run_id = %s", run_id)
    assert options == {"timeout": {"value": 5, "level": "handler"}}


def test_steps_of_a_run_have_theirs_where_it_belongs(connection):
    steps = {
        "small": {"with_": {"n": 1}},
        "large": {"with_": LARGE},
        "options": {"with_": {"n": 2}, "options": {"timeout": 5.0}},
        "none": {},
    }
    run_id = kit.start(connection, kit.workflow("w.v1", steps))
    home = connection.execute(
        "select step_id, payload is not null from tributary.steps where run_id = %s", (run_id,)
    ).fetchall()
    assert dict(home) == {"small": True, "large": False, "options": False, "none": True}
    stored = {row.ordinal: row.payload for row in db.run(connection, runs.payloads(run_id))}
    assert list(stored.values())[:4] == [{}, {"n": 1}, LARGE, {"n": 2}]
    claimed = {item.step_id: json.loads(item.payload) for item in kit.Process(connection).claim()}
    assert (claimed["small"], claimed["large"], claimed["options"]) == ({"n": 1}, LARGE, {"n": 2})


def test_many_at_once_lie_as_single_ones_do(connection, database):
    payloads = [{"i": 1}, LARGE, {"text": 'a\\b\t"\n'}]
    with app.Client(database) as client:
        ids = client.submit_many(kit.NAME, payloads)
        assert [at_home(connection, one) for one in ids] == [True, False, True]
        assert [client.get(one).payload for one in ids] == payloads
        other = client.submit_many(kit.NAME, payloads, max_attempts=2)
        assert [at_home(connection, one) for one in other] == [False] * 3
        assert client.get(client.rerun(ids[0]).id).payload == payloads[0]


def test_a_migration_down_brings_them_back(connection, database):
    run_id = submit(connection, {"i": 1})
    Migrator(database).down_to("20261125000003")
    assert kit.scalar(connection, "select payload from tributary.payloads where run_id = %s", run_id) == {
        "i": 1
    }
    Migrator(database).up()
    assert db.run(connection, intents.intent(run_id)).payload == {"i": 1}
    assert json.loads(kit.Process(connection).claim()[0].payload) == {"i": 1}


def test_a_submit_writes_a_row_and_two_index_entries(connection, database):
    """Measured by the statement itself, so that neighbours on the server do not count."""
    with app.Client(database) as client:
        # past the pages that an empty table's BRIN index has summarised already
        client.submit_many(kit.NAME, [{"i": 1}] * 3_000)
    statement = (
        "explain (analyze, wal, costs off, timing off, summary off, format json)"
        " select * from tributary.submit_named(%s, true, %s, null, '{}', '{}', null, null, '', null)"
    )
    seen = []
    for _ in range(200):
        plan = kit.scalar(connection, statement, kit.NAME, Jsonb({"i": 1}))[0]["Plan"]
        if not plan["WAL FPI"]:
            seen.append((plan["WAL Records"], plan["WAL Bytes"]))
    seen.sort()
    usual = seen[len(seen) // 2]
    assert usual[0] == 3
    assert usual[1] + COMMIT <= WAL_LIMIT
