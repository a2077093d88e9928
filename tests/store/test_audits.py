"""What is audited stays until its time is over, and is each tenant's own."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.daemon.pruner import Pruner
from tributary_daemon.errors import DatabaseError, TributaryError
from tributary_daemon.store import audits, db


def note(**fields):
    values = {
        "run_id": str(uuid4()), "tenant": "", "action": "submitted", "name": "a.b.v1", "step": None,
        "attempt": None, "place": "ada@desk",
    }  # fmt: skip
    return audits.Note(**{**values, **fields})


@pytest.fixture
def keep(connection):
    connection.autocommit = True

    def write(seconds, **fields):
        db.run(connection, audits.record(note(**fields), seconds))

    return write


def left(connection):
    return connection.execute("select name from tributary.audit_log order by audit_id").fetchall()


def test_a_row_says_who_wrote_it_and_lives_in_the_shard_of_its_work(connection, keep):
    keep(60, payload="[1]", payload_hash=b"x", result="2", error="no", attempt=3, step="one")
    row = connection.execute(
        "select login = session_user, shard = tributary.shard_of(run_id), payload, payload_hash, result,"
        " error, attempt, step, keep_until - at = interval '60 seconds' from tributary.audit_log"
    ).fetchone()
    assert row == (True, True, [1], b"x", 2, "no", 3, "one", True)


def test_only_what_is_over_goes(connection, shards, keep):
    for number in range(5):
        keep(0.001, name=f"over.{number}")
    keep(3600, name="later")
    keep(None, name="ever")
    kit.advance(connection, "1 second")
    sweep = audits.AuditSweep(shards)
    while not sweep.ended:
        db.run(connection, sweep.batch())
    assert left(connection) == [("later",), ("ever",)]


def test_a_full_batch_is_followed_by_another_of_the_same_shard(connection, shards, keep):
    for _ in range(60):
        keep(0.001)
    kit.advance(connection, "1 second")
    sweep = audits.AuditSweep(shards)
    sweep._limit = 25
    pruner = Pruner(lambda: sweep)
    for _ in range(100 + shards):
        pruner._due = 0.0
        if sweep.ended:
            break
        pruner.batch(connection)
    assert left(connection) == []


def test_a_login_writes_for_its_own_tenant_only(connection, keep):
    login = connection.execute("select session_user").fetchone()[0]
    connection.execute("insert into tributary.tenant_logins values (%s, '{acme}')", [login])
    try:
        keep(60, tenant="acme", name="mine")
        with pytest.raises(TributaryError, match="acts for tenant acme"):
            keep(60, tenant="other")
    finally:
        connection.execute("delete from tributary.tenant_logins")
    assert left(connection) == [("mine",)]


def test_an_action_that_is_none_is_refused(keep):
    with pytest.raises((DatabaseError, TributaryError)):
        keep(60, action="erased")
