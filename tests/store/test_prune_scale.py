"""Pruning over many rows: what a batch costs does not depend on what stays, nor on what the planner knows."""

from __future__ import annotations

import pytest

from tests.store import protocol_kit as kit
from tests.store.prune_kit import DAY, MONTH
from tests.store.test_traps_scale import buffers
from tributary_daemon.store import db, pruning

pytestmark = pytest.mark.one_shard("pages and bounds of batches, which are of one shard each")

BATCH = "select * from tributary.prune_batch(0::smallint, %s, %s, interval '30 days', null, null, null, 1000)"
LOOK = (
    "select * from tributary.find_prunable(0::smallint, %s, %s, interval '30 days', null, null, null, 1000)"
)
TABLES = ("runs", "steps", "payloads", "edges", "keys", "attempts", "event_log", "progress", "dead_letters")


@pytest.fixture(autouse=True)
def _never_analyzed(connection):
    for table in TABLES:
        connection.execute(f"alter table tributary.{table} set (autovacuum_enabled = off)")


def fill(connection, count, *, finished):
    """Add old intents; every ``finished``-th has ended, 0 for none."""
    connection.execute(
        """
        with made as (
            insert into tributary.steps (run_id, seq, created_at, run_at, claimed_at, finished_at, attempt,
                                         ordinal, kind, state, shard, name, queue)
            select tributary.new_id(), n, now(), now() + interval '1 year', ended, ended, 1, 0, 'intent',
                   case when ended is null then 'scheduled' else 'completed' end::tributary.step_state,
                   0, 't.work.v1', 'default'
            from (select n, case when %(finished)s > 0 and n %% greatest(%(finished)s, 1) = 0 then now() end
                  from generate_series(1, %(count)s) as n) as rows (n, ended)
            returning run_id
        )
        insert into tributary.payloads (run_id, ordinal, shard, payload) select run_id, 0, 0, '{}' from made
        """,
        {"count": count, "finished": finished},
    )


def test_a_batch_touches_as_many_pages_over_many_rows_as_over_few(connection):
    kit.advance(connection, "31 days")
    fill(connection, 3_000, finished=1)
    # the first call reads the catalogs
    buffers(connection, BATCH, *pruning.START)
    few = buffers(connection, BATCH, *pruning.START)
    fill(connection, 200_000, finished=1)
    many = buffers(connection, BATCH, *pruning.START)
    assert many < 2 * few + 200
    connection.execute("analyze tributary.steps, tributary.payloads")
    assert buffers(connection, BATCH, *pruning.START) < 2 * few + 200


def test_old_rows_that_stay_are_passed_once_per_sweep(connection):
    kit.advance(connection, "31 days")
    fill(connection, 100_000, finished=0)
    fill(connection, 2_000, finished=1)
    # the first call reads the catalogs, as many pages of them as other sessions make it
    buffers(connection, LOOK, *pruning.START)
    place, touched, pruned = pruning.START, [], 0
    while place is not None:
        touched.append(buffers(connection, LOOK, *place))
        batch = db.run(connection, pruning.prune(0, MONTH, place, 1_000))
        pruned, place = pruned + batch.intents, batch.next
    assert pruned == 2_000
    assert 102 <= len(touched) <= 106
    # windows of 1,000 rows, wherever they lie; a look back over what stays would add up to 100 times as many
    assert sum(touched) < 100 * len(touched)


def test_what_is_too_young_is_not_looked_at(connection):
    # the first call reads the catalogs
    buffers(connection, LOOK, *pruning.START)
    fill(connection, 50_000, finished=1)
    # of two: somebody else's change of the catalogs makes one of them read these anew
    assert min(buffers(connection, LOOK, *pruning.START) for _ in range(2)) < 100
    found = db.run(connection, pruning.count(0, MONTH, pruning.START, 1_000))
    assert found[:2] == (0, 0)
    assert found.next.run_id > kit.scalar(
        connection, "select run_id::text from tributary.steps order by run_id desc limit 1"
    )
    assert db.run(connection, pruning.count(0, MONTH, found.next, 1_000)).next is None


def test_a_month_is_measured_in_ids(connection):
    old = kit.scalar(connection, "select tributary.first_id(now() - interval '30 days')::text")
    new = kit.scalar(connection, "select tributary.new_id()::text")
    assert old < new
    milliseconds = int(new.replace("-", "")[:12], 16) - int(old.replace("-", "")[:12], 16)
    assert milliseconds / 1_000 == pytest.approx(30 * DAY, abs=60)
    assert kit.scalar(connection, "select tributary.first_id('0001-01-01')::text").startswith(
        "00000000-0000-7"
    )


def test_a_plan_made_over_empty_tables_stays_right_when_letters_and_events_pile_up(connection):
    kit.advance(connection, "31 days")
    fill(connection, 3_000, finished=1)
    connection.execute("vacuum analyze")
    # the plans are made now
    for _ in range(2):
        buffers(connection, BATCH, *pruning.START)
    connection.execute(
        """
        with made as (select tributary.new_id() as id, n from generate_series(1, 100000) as n),
        letters as (
            insert into tributary.dead_letters (run_id, created_at, ordinal, shard, attempt, kind, name,
                                                queue, reason, error)
            select id, now(), 0, 0, 1, 'intent', 't', 'q', 'x', '{}' from made)
        insert into tributary.event_log (run_id, at, shard, type) select id, now(), 0, 'x' from made
        """
    )
    connection.execute(
        """insert into tributary.event_log (run_id, at, shard, type)
           select run_id, now(), 0, 'x' from tributary.steps order by run_id limit 1000"""
    )
    connection.execute("update tributary.steps set state = 'discarded'")
    # with events and states of a thousand rows to look up, each by its key
    assert buffers(connection, BATCH, *pruning.START) < 40_000
    assert kit.scalar(connection, "select count(*) from tributary.event_log") == 100_000
