"""Submitting: keys, transactions, wake-ups, workflow_intent, submit_workflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.spec.workflow import InputSpec
from tributary_daemon.store import db

BIG = json.dumps({"x": "y" * (5 * 1024 * 1024)})


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


def count(connection):
    return kit.scalar(
        connection,
        "select (select count(*) from tributary.steps) + (select count(*) from tributary.payloads)"
        " + (select count(*) from tributary.keys) + (select count(*) from tributary.runs)",
    )


def refused(connection, code, sql, *params):
    """Execute what must be refused without a trace; return the error's diagnostics."""
    before = count(connection)
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, params or None)
    assert caught.value.sqlstate == code, str(caught.value)
    assert count(connection) == before
    return caught.value.diag


def test_twenty_submits_with_one_key_are_one_row(database, connection):
    with kit.connections(database, 20) as opened:
        ids = kit.together(*(lambda c=c: kit.intent(c, idempotency_key="order:1") for c in opened))
    assert len(set(ids)) == 1
    assert connection.execute("select run_id::text from tributary.steps").fetchall() == [(ids[0],)]


def test_twenty_submits_of_a_run_with_one_key_are_one_run(database, connection):
    spec = kit.workflow("w.one.v1", {"a": (), "b": ("a",)})
    kit.save(connection, spec)
    with kit.connections(database, 20) as opened:
        ids = kit.together(*(lambda c=c: kit.start(c, spec, key="order:1") for c in opened))
    assert len(set(ids)) == 1
    assert kit.scalar(connection, "select count(*) from tributary.steps") == 2


def test_a_key_under_another_name_is_refused(connection):
    kept = kit.intent(connection, "t.one.v1", idempotency_key="k")
    diagnostics = refused(
        connection, "TR002", "select tributary.submit_intent('t.two.v1', idempotency_key => 'k')"
    )
    assert "t.one.v1" in diagnostics.message_primary
    assert diagnostics.message_hint
    assert diagnostics.message_detail == kept
    assert kit.intent(connection, "t.one.v1", idempotency_key="k") == kept
    assert kit.intent(connection, "t.two.v1", idempotency_key="k", tenant="other") != kept


def test_intents_and_runs_share_their_keys(connection):
    spec = kit.workflow("w.one.v1", {"a": ()})
    revision = kit.save(connection, spec)
    connection.execute("select tributary.register_workflow('w.one.v1', %s, null)", (revision,))
    kit.start(connection, spec, key="k")
    assert refused(
        connection, "TR002", "select tributary.submit_intent('w.one.v1', idempotency_key => 'k')"
    ).message_hint
    kit.intent(connection, "w.one.v1", idempotency_key="j")
    assert refused(
        connection, "TR002", "select tributary.submit_workflow('w.one.v1', idempotency_key => 'j')"
    ).message_hint


def test_a_rolled_back_submit_leaves_nothing_and_frees_its_key(database, connection, eventually):
    with kit.connections(database, 1) as (other,):
        with connection.transaction(force_rollback=True):
            gone = kit.intent(connection, idempotency_key="k")
            results = []

            def wait_for_the_key():
                results.append(kit.intent(other, idempotency_key="k"))

            pid = kit.backend(other)
            thread = kit.threading.Thread(target=wait_for_the_key)
            thread.start()
            with db.connect(database, application_name="observer") as observer:
                eventually(lambda: kit.waits(observer, pid), what="the second submit waits for the key")
        thread.join(10)
    assert results[0] != gone
    assert connection.execute("select run_id::text from tributary.steps").fetchall() == [(results[0],)]


def test_a_submit_in_an_open_transaction_wakes_at_its_commit(database, connection):
    kit.offer(connection)
    connection.execute("select tributary.register_worker('w', 'h', 1, '0', 1, '{default}', '{}', 1, '[]')")
    with kit.connections(database, 1) as (listener,):
        listener.execute("listen tributary_wake")
        with connection.transaction():
            kit.intent(connection)
            kit.intent(connection)
            assert list(listener.notifies(timeout=0.2)) == []
        heard = [notify.payload for notify in listener.notifies(timeout=5, stop_after=1)]
        assert heard == ["default"]
        assert list(listener.notifies(timeout=0.2)) == []
        connection.execute("update tributary.workers set wants_wake = false")
        kit.intent(connection)
        assert list(listener.notifies(timeout=0.2)) == []


def test_a_plain_insert_is_an_intent(connection):
    kit.offer(connection)
    new = connection.execute(
        "insert into tributary.workflow_intent (name, payload) values (%s, '{\"a\": 1}') returning *",
        (kit.NAME,),
    )
    got = dict(zip([column.name for column in new.description], new.fetchone(), strict=True))
    assert (got["name"], got["payload"], got["status"], got["priority"]) == (
        kit.NAME,
        {"a": 1},
        "pending",
        100,
    )
    assert (got["attempt_count"], got["max_attempts"], got["claimed_by"], got["last_error"]) == (
        0,
        3,
        None,
        None,
    )
    assert got["run_after"] == got["created_at"] == got["updated_at"]
    assert kit.row(connection, got["intent_id"])["state"] == "available"


def test_a_known_key_returns_the_existing_intent(connection):
    insert = (
        "insert into tributary.workflow_intent (name, payload, idempotency_key, priority)"
        " values (%s, '{}', 'k', 10) returning intent_id, idempotency_key, priority"
    )
    first = connection.execute(insert, (kit.NAME,)).fetchone()
    assert first[1:] == ("k", 10)
    assert connection.execute(insert, (kit.NAME,)).fetchone() == first
    assert kit.row(connection, first[0])["priority"] == 90
    assert refused(connection, "TR002", insert, "t.other.v1").message_hint


def test_the_statuses_of_the_ancestor(connection):
    kit.offer(connection)
    process = kit.Process(connection)

    def status(intent):
        return kit.scalar(
            connection, "select status from tributary.workflow_intent where intent_id = %s", intent
        )

    intent = kit.intent(connection)
    assert status(intent) == "pending"
    process.finish(process.claim(), "retry", delay=60.0)
    assert status(intent) == "failed"
    last_error, run_after, now = connection.execute(
        "select last_error, run_after, clock_timestamp() from tributary.workflow_intent"
    ).fetchone()
    assert last_error == "no"
    assert run_after > now
    kit.advance(connection, "61 seconds")
    process.beat()
    claimed = process.claim()
    assert status(intent) == "running"
    owner, lease = connection.execute(
        "select claimed_by, lease_expires_at - tributary.clock() from tributary.workflow_intent"
    ).fetchone()
    assert owner == "test"
    assert timedelta(0) < lease <= timedelta(seconds=10)
    process.finish(claimed, "completed", result='{"n": 1}')
    assert status(intent) == "succeeded"
    second = kit.intent(connection)
    process.finish(process.claim(), "discarded")
    assert status(second) == "deadletter"
    third = kit.intent(connection)
    kit.scalar(connection, "select tributary.cancel(%s)", third)
    assert status(third) == "cancelled"


def test_copy_into_the_view(connection):
    with connection.cursor().copy("copy tributary.workflow_intent (name, payload) from stdin") as copy:
        for number in range(5):
            copy.write_row((kit.NAME, json.dumps({"n": number})))
    assert (
        kit.scalar(connection, "select count(*) from tributary.workflow_intent where status = 'pending'") == 5
    )


@pytest.mark.parametrize(
    "change", ["update tributary.workflow_intent set name = 'x'", "delete from tributary.workflow_intent"]
)
def test_changes_to_the_view_are_refused_with_a_hint(connection, change):
    kit.intent(connection)
    assert "tributary.cancel" in refused(connection, "TR004", change).message_hint


@pytest.mark.parametrize(
    ("columns", "values", "code"),
    [
        ("name, payload", "'t.a.v1', null", "TR001"),
        ("name, payload", "null, '{}'", "TR001"),
        ("name, payload", "'', '{}'", "TR001"),
        ("name, payload", "E'a\\nb', '{}'", "TR001"),
        ("name, payload", "'t.a.v1', '{\"a\": \"\\u0000\"}'", "22P05"),
        ("name, payload", "'t.a.v1', '{\"a\": NaN}'", "22P02"),
        ("name, payload", f"'t.a.v1', '{BIG}'", "TR001"),
        ("name, payload, max_attempts", "'t.a.v1', '{}', 0", "TR001"),
        ("name, payload, priority", "'t.a.v1', '{}', 99999", "TR001"),
        ("name, payload, status", "'t.a.v1', '{}', 'running'", "TR001"),
        ("name, payload, idempotency_key", "'t.a.v1', '{}', ''", "TR001"),
    ],
    ids=range(11),
)
def test_bad_inserts_store_nothing(connection, columns, values, code):
    refused(connection, code, f"insert into tributary.workflow_intent ({columns}) values ({values})")


@pytest.mark.parametrize(
    "submit",
    [
        "insert into tributary.workflow_intent (name, payload) select 't.a.v1', payload from public.source",
        "select tributary.submit_intent('t.a.v1', payload) from public.source",
        "select tributary.check_payload('the payload', payload) from public.source",
    ],
    ids=["insert", "function", "check"],
)
def test_a_payload_that_a_table_keeps_compressed_is_measured_unpacked(connection, submit):
    connection.execute("create table public.source as select %s::jsonb as payload", (BIG,))
    refused(connection, "TR001", submit)


@pytest.mark.parametrize(
    "options",
    [
        "queue => ''",
        "max_attempts => 0",
        "priority => 40000",
        "timeout => -1",
        "timeout => 'nan'",
        "retry => '[]'",
        'retry => \'{"delay": "5m"}\'',
        'retry => \'{"backoff": "wild"}\'',
        "retry => '{\"jitter\": 2}'",
        "idempotency_key => ''",
    ],
)
def test_bad_options_store_nothing(connection, options):
    diagnostics = refused(connection, "TR001", f"select tributary.submit_intent('t.a.v1', {options})")
    assert diagnostics.message_hint


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_times_are_right_whatever_the_servers_zone(database, connection, zone):
    connection.execute(f"alter database {connection.info.dbname} set timezone to '{zone}'")
    at = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    with kit.connections(database, 1) as (other,):
        assert kit.scalar(other, "show timezone") == zone
        kit.offer(other)
        later = kit.intent(other, run_after=at)
        local = kit.scalar(
            other,
            "insert into tributary.workflow_intent (name, payload, run_after)"
            " values (%s, '{}', %s::timestamptz)"
            " returning intent_id",
            kit.NAME,
            at.isoformat(),
        )
        assert kit.row(other, later)["run_at"] == kit.row(other, local)["run_at"] == at
        assert kit.row(other, later)["state"] == "scheduled"
        process = kit.Process(other)
        assert process.claim() == []
        kit.advance(other, "2 hours 1 second")
        process.beat()
        assert len(process.claim()) == 2


INPUTS = {
    "email": InputSpec(type="string", required=True),
    "count": InputSpec(type="integer", required=False, default=3, has_default=True),
    "ratio": InputSpec(type="number", required=False),
    "tags": InputSpec(type="list", required=False),
}


@pytest.fixture
def registered(connection):
    spec = kit.workflow("user.signup.v1", {"create": (), "mail": ("create",)}, inputs=INPUTS)
    revision = kit.save(connection, spec)
    register = "select tributary.register_workflow('user.signup.v1', %s, 'people')"
    assert kit.scalar(connection, register, revision) == "created"
    assert kit.scalar(connection, register, revision) == "unchanged"
    other = kit.save(connection, kit.workflow("user.signup.v1", {"create": ()}))
    assert kit.scalar(connection, register, other) == "revised"
    assert kit.scalar(connection, register, revision) == "revised"


@pytest.mark.usefixtures("registered")
def test_a_registered_workflow_starts_from_sql(connection):
    kit.offer(connection)
    run = kit.scalar(
        connection,
        'select tributary.submit_workflow(\'user.signup.v1\', \'{"email": "a@b.c", "ratio": null}\','
        ' priority => 7, labels => \'{"team": "x"}\')',
    )
    inputs = kit.scalar(
        connection, "select payload from tributary.payloads where run_id = %s and ordinal = 0", run
    )
    assert inputs == {"email": "a@b.c", "count": 3, "ratio": None, "tags": None}
    assert kit.states(connection, run) == {"create": "available", "mail": "blocked"}
    assert kit.Process(connection).work_off() == 2
    assert kit.run_row(connection, run)[0] == "completed"
    assert connection.execute(
        "select workflow_name, state, labels, priority from tributary.workflow_executions where id = %s",
        (run,),
    ).fetchone() == ("user.signup.v1", "completed", {"team": "x"}, 7)


@pytest.mark.usefixtures("registered")
def test_all_faults_of_the_inputs_are_told_at_once(connection):
    diagnostics = refused(
        connection,
        "TR001",
        'select tributary.submit_workflow(\'user.signup.v1\', \'{"count": 1.5, "tags": {}, "mail": 1}\')',
    )
    assert diagnostics.message_detail.splitlines() == [
        "input count must be an integer, not number",
        "input email is required",
        "input mail is not declared",
        "input tags must be a list, not object",
    ]
    assert diagnostics.message_hint


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("'nobody.knows.v1'", "TR003"),
        ("'user.signup.v1', '[]'", "TR001"),
        ("'user.signup.v1', '{\"email\": null}'", "TR001"),
        ("'user.signup.v1', '{\"email\": \"x\"}', labels => '[]'", "TR001"),
        ("'user.signup.v1', '{\"email\": \"x\"}', queue => ''", "TR001"),
    ],
)
def test_bad_submits_of_workflows_store_nothing(connection, call, code):
    assert refused(connection, code, f"select tributary.submit_workflow({call})").message_hint


@pytest.mark.one_shard("over several shards a key chooses the shard, and so the id")
def test_a_repeated_insert_with_id_and_key_returns_its_row(connection):
    insert = (
        "insert into tributary.workflow_intent (intent_id, name, payload, idempotency_key)"
        " values ('01900000-0000-7000-8000-000000000000', 't.a.v1', '{}', 'k')"
        " returning intent_id::text, created_at"
    )
    assert connection.execute(insert).fetchall() == connection.execute(insert).fetchall()
    refused(connection, "23505", insert.replace("'k'", "null"))


def test_a_key_is_free_again_once_its_holder_is_pruned(connection):
    first = kit.intent(connection, idempotency_key="k")
    for table in ("keys", "steps", "payloads"):
        connection.execute(f"delete from tributary.{table} where run_id = %s", (first,))
    assert kit.intent(connection, idempotency_key="k") != first
