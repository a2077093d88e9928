"""An exchange is one transaction at READ COMMITTED, whether it says BEGIN or not."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.errors import NotPossible
from tributary_daemon.store import db
from tributary_daemon.store import leases as module
from tributary_daemon.store.finishes import Ended
from tributary_daemon.store.lanes import ClaimRequest, Lane
from tributary_daemon.store.leases import Leases

pytestmark = pytest.mark.one_shard("an exchange is of one shard")

WRITERS = "select distinct xmin::text from tributary.steps where state in ('running', 'completed')"
WRITERS_OF = "select count(distinct xmin::text) from tributary.steps where run_id = %s and step_id = any(%s)"
ALL = ClaimRequest([Lane("default", 0, "")], [0], 10)
LEVEL = "alter database {} set default_transaction_isolation = '{}'"


@pytest.fixture(params=["read committed", "serializable", "pooled"])
def own(request, database):
    """A connection as processes have it, whatever the database or the way to it makes of a default."""
    if request.param == "serializable":
        name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(LEVEL.format(name, request.param))
    with db.connect(database, application_name="test", prepare_threshold=3) as connection:
        connection.pooled = request.param == "pooled"
        assert db.reads_committed(connection) == (request.param != "pooled")
        kit.offer(connection)
        yield connection


def ended_in_run(rows):
    return [item._replace(in_run=True) for item in claimed(rows)]


def claimed(rows):
    return [Ended(row[0], row[1], row[2], row[18], "completed", "null") for row in rows]


def test_finishes_and_claims_are_written_by_one_transaction(own):
    process = kit.Process(own)
    leases = Leases(own, process.id, [kit.NAME], ["default"])
    for _ in range(3):
        kit.intent(own)
    _, (rows,) = leases.exchange(0, [], [ALL])
    assert len(rows) == 3
    kit.intent(own)
    refused, (more,) = leases.exchange(0, claimed(rows), [ALL])
    assert (refused, len(more)) == ([], 1)
    assert len(own.execute(WRITERS).fetchall()) == 1
    assert own.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_lone_step_and_what_goes_on_are_written_by_one_transaction(own, connection):
    process = kit.Process(own)
    leases = Leases(own, process.id, [kit.NAME], ["default"])
    run = kit.start(own, kit.workflow("w.v1", {"a": (), "b": ("a",), "c": ("b",)}))
    follows_up = replace(ALL, follows_up=True)
    _, (rows,) = leases.exchange(0, [], [follows_up])
    for ended, goes_on in ("ab", "bc"):
        # what was committed after this connection's last statement is seen: nothing is left open in between
        later = kit.intent(connection)
        finished = [item._replace(in_run=True) for item in claimed(rows[:1])]
        refused, (rows,) = leases.exchange(0, finished, [follows_up])
        rows.sort(key=lambda row: not row[19])
        assert (refused, [(row[0], row[5], row[19]) for row in rows]) == (
            [],
            [(str(run), goes_on, True), (str(later), None, False)],
        )
        assert own.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert kit.scalar(connection, WRITERS_OF, run, [ended, goes_on]) == 1


def test_what_is_refused_takes_the_finishes_with_it(own):
    process = kit.Process(own)
    leases = Leases(own, process.id, [kit.NAME], ["default"])
    run = kit.intent(own)
    _, (rows,) = leases.exchange(0, [], [ALL])
    own.execute("delete from tributary.processes")
    with pytest.raises(NotPossible):
        leases.exchange(0, claimed(rows), [ALL])
    assert kit.row(own, run)["state"] == "running"
    assert own.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_which_of_the_lost_leases_somebody_has_cancelled(own):
    process = kit.Process(own)
    leases = Leases(own, process.id, [kit.NAME], ["default"])
    cancelled, rescued = kit.intent(own), kit.intent(own)
    _, (rows,) = leases.exchange(0, [], [ALL])
    tokens = {row[0]: (row[0], row[1], row[2]) for row in rows}
    own.execute("select tributary.cancel(%s)", (cancelled,))
    own.execute(
        "update tributary.steps set state = 'available', process_id = null where run_id = %s", (rescued,)
    )
    lost = leases.reconcile(0, list(tokens.values()))
    assert sorted(lost) == sorted(tokens.values())
    assert leases.explained(0, lost) == {tokens[str(cancelled)]}


@pytest.mark.parametrize("is_async", [False, True])
def test_the_server_waits_for_the_commit_of_a_finished_step_for_a_moment_only(
    connection, database, monkeypatch, eventually, is_async
):
    kit.offer(connection)
    process = kit.Process(connection)
    run = kit.intent(connection)
    _, (rows,) = Leases(connection, process.id, [kit.NAME], ["default"]).exchange(0, [], [ALL])
    (item,) = claimed(rows)
    assert module._COMMIT_WITHIN == "5s"
    monkeypatch.setattr(module, "_COMMIT_WITHIN", "200ms")

    async def left_open():
        lent = await db.alend(database, application_name="test step")
        assert await module.afinish_on(lent, 0, process.id, item)
        return lent

    if is_async:
        lent = asyncio.run(left_open())
    else:
        lent = db.lend(database, application_name="test step")
        assert module.finish_on(lent, 0, process.id, item)
    locked = (
        "select count(*) from (select from tributary.steps where run_id = %s for update skip locked) as free"
    )
    assert kit.scalar(connection, locked, run) == 0
    # what others need is free again, and nothing of it has happened
    eventually(lambda: kit.scalar(connection, locked, run) == 1, 10, "its lock is gone")
    assert kit.row(connection, run)["state"] == "running"
    closed = lent.close()
    if closed is not None:
        asyncio.run(closed)


def test_a_lost_token_is_no_surprise_where_its_own_attempt_has_completed_the_step(connection, database):
    kit.offer(connection)
    process = kit.Process(connection)
    runs = [kit.intent(connection) for _ in range(3)]
    held = Leases(connection, process.id, [kit.NAME], ["default"])
    _, (rows,) = held.exchange(0, [], [ALL])
    tokens = {row[0]: tuple(row[:3]) for row in rows}
    done, cancelled, taken = (tokens[str(run)] for run in runs)
    with closing(db.lend(database, application_name="test step")) as lent:
        assert module.finish_on(lent, 0, process.id, next(i for i in claimed(rows) if i[:3] == done))
        lent.commit_step()

    connection.execute("select tributary.cancel(%s)", (cancelled[0],))
    process.fall_silent()
    kit.rescue(connection)
    lost = held.reconcile(0, list(tokens.values()))
    assert set(lost) == {done, cancelled, taken}
    assert held.explained(0, lost) == {done, cancelled}
