# ruff: noqa: E501 - statements of SQL
"""Plans of what workers send: pages touched do not grow with what is ready or has finished."""

from __future__ import annotations

import json

import pytest

from tests.plans.filling import HELD, LATE, NAME
from tests.store import protocol_kit as kit
from tributary_daemon.store import leases
from tributary_daemon.store.finishes import Finish, exchange_params

CLAIMED = 100
LANES = "select array_agg(queue), array_agg(priority), array_agg(tenant_id), array_agg(first_seq) from (select * from tributary.find_lanes(0::smallint, '{default}') order by priority desc limit 64) as l"


def process(look):
    return kit.Process(look.connection)


def held(look, number=0):
    """Return (tids, run_ids, ordinals, seqs) of what one of the loaded processes holds."""
    return look.connection.execute(
        """select array_agg(s.tid), array_agg(run_id), array_agg(ordinal), array_agg(seq) from (
               select ctid as tid, * from tributary.steps
               where state = 'running' and shard = 0 and process_id = %s limit %s) s""",
        (look.processes[number], CLAIMED),
    ).fetchone()


def test_finding_lanes(look):
    assert look.pages(leases._LANES, 0, ["default"]) < 2_000


def test_finding_lanes_beside_a_limited_queue(look):
    look.connection.execute("select tributary.set_queue('default', 5, '5/s')")
    assert look.pages(leases._LANES, 0, ["default"]) < 2_500


def test_finding_new_lanes(look):
    lanes = look.connection.execute(LANES).fetchone()
    assert look.pages(leases._NEWS, 0, ["default"], *lanes) < 2_000
    # who has just begun knows one
    assert look.pages(leases._NEWS, 0, ["default"], ["default"], [0], [""], [0]) < 2_000


def test_what_a_limit_adds_to_a_claim(look):
    params = (0, process(look).id, ["default"], [0], [""], [0], [NAME], CLAIMED)
    look.connection.execute("savepoint unlimited")
    unlimited = look.first_pages(leases._CLAIM, *params)
    look.connection.execute("rollback to unlimited")
    look.connection.execute("select tributary.set_queue('default', 5000, '5000/s')")
    # its limit is older than any claim that may not know of it
    look.connection.execute("update tributary.queue_counters set census_until = clock_timestamp()")
    assert look.first_pages(leases._CLAIM, *params) < unlimited + 3 * CLAIMED, "a slot for each"


def test_a_sample_of_the_queues(look):
    assert look.pages("select tributary.sample_queues(%s)", 10_000) < 60_000


def test_groups_without_news(look):
    assert look.pages(leases._GROUPS, 0) < 100


def test_a_claim_over_the_long_lane(look):
    params = (0, process(look).id, ["default"], [0], [""], [0], [NAME], CLAIMED)
    assert look.pages(leases._CLAIM, *params) < 2_500


def test_a_claim_over_many_lanes(look):
    lanes = look.connection.execute(LANES).fetchone()
    assert len(lanes[0]) == 64
    assert look.pages(leases._CLAIM, 0, process(look).id, *lanes, [NAME], 500) < 12_000


def test_a_claim_in_a_lane_of_foreign_names_looks_at_one_window(look):
    params = (0, process(look).id, ["default"], [0], [""], [0], ["t.nobody.v1"], CLAIMED)
    assert look.pages(leases._CLAIM, *params) < 45_000


def test_the_end_of_a_window(look):
    assert look.pages(leases._WINDOW, 0, "default", 0, "", 0) < 22_000


def test_promoting_what_is_due(look):
    look.connection.execute(
        "update tributary.steps set run_at = clock_timestamp() - interval '1 s' where ctid = any (array("
        "select ctid from tributary.steps where state = 'scheduled' limit 500))"
    )
    assert look.first_pages(leases._PROMOTE, 0) < 25_000


def test_promoting_when_nothing_is_due(look):
    assert look.pages(leases._PROMOTE, 0) < 300


def test_releasing_what_waited_for_a_key_when_nothing_does(look):
    assert look.pages("select tributary.release_unread(%s::smallint, 30, 1000)", 0) < 300


def test_releasing_what_waited_for_a_handler(look):
    look.connection.execute(
        "select tributary.register_handlers('python', %s::jsonb)", (json.dumps([{"name": LATE}]),)
    )
    assert look.pages("select tributary.release_waiting(%s::smallint, 1000)", 0) < 30_000
    look.connection.execute("update tributary.registry set offered_at = null where name = %s", (LATE,))
    assert look.pages("select tributary.release_waiting(%s::smallint, 1000)", 0) < 300


def test_finishing_intents(look):
    tids, run_ids, ordinals, seqs = held(look)
    n = len(run_ids)
    params = (
        0, look.processes[0], tids, run_ids, ordinals, seqs, None, ["1"] * n, None, None,
        [0.0] * n, False, ["default"], [NAME], 100,
    )  # fmt: skip
    assert look.first_pages(leases._FINISH, *params) < 3_500


@pytest.mark.parametrize("outcome", ["retry", "discarded", "released"])
def test_finishing_intents_that_did_not_go_well(look, outcome):
    _, run_ids, ordinals, seqs = held(look)
    n = len(run_ids)
    error = json.dumps({"type": "Failed", "message": "no"})
    params = (
        0, look.processes[0], None, run_ids, ordinals, seqs, [outcome] * n, [None] * n, [error] * n, [10.0] * n,
        [0.0] * n, False, ["default"], [NAME], 100,
    )  # fmt: skip
    assert look.first_pages(leases._FINISH, *params) < 8_000


def step_batch(look, name, most):
    """Claim steps of runs of a workflow, the lane of runs alone, and return the parameters of their finish."""
    own = process(look)
    tids = """select s.ctid from tributary.steps s join tributary.runs r using (shard, run_id)
              where r.name = %s and s.state = 'available' and s.kind = 'step' limit %s"""
    rows = look.connection.execute(
        f"""update tributary.steps set state = 'running', attempt = 1, process_id = %s,
                   claimed_at = clock_timestamp()
            where ctid = any (array({tids})) returning ctid, run_id, ordinal, seq""",
        (own.id, name, most),
    ).fetchall()
    n = len(rows)
    tids, run_ids, ordinals, seqs = ([row[k] for row in rows] for k in range(4))
    return n, (
        0, own.id, tids, run_ids, ordinals, seqs, None, ["1"] * n, None, None, [0.0] * n,
        True, ["default"], [NAME], 100,
    )  # fmt: skip


def test_finishing_steps_of_chains(look):
    count, params = step_batch(look, "w.live.v1", CLAIMED)
    assert count == CLAIMED
    assert look.first_pages(leases._FINISH, *params) < 12_000


def test_finishing_the_top_of_a_fan(look):
    count, params = step_batch(look, "w.fan.v1", 1)
    assert count == 1
    # a thousand children become available
    assert look.first_pages(leases._FINISH, *params) < 40_000


def test_finishing_the_sides_of_a_fan(look):
    _, top = step_batch(look, "w.fan.v1", 1)
    look.connection.execute(leases._FINISH, top)
    count, params = step_batch(look, "w.fan.v1", CLAIMED)
    assert count == CLAIMED
    assert look.first_pages(leases._FINISH, *params) < 8_000


@pytest.mark.parametrize(("name", "count", "most"), [("w.live.v1", CLAIMED, 30_000), ("w.fan.v1", 1, 60_000)])
@pytest.mark.parametrize("lane", ["long", "unused"])
def test_going_on_with_what_is_released(look, name, count, most, lane):
    """Over the long lane, where much waits, and over one that holds nothing."""
    found, params = step_batch(look, name, count)
    assert found == count
    lanes = (["default"], [0 if lane == "long" else 7], [""], [0])
    claim = (0, params[1], *lanes, [NAME], CLAIMED)
    assert look.first_pages(leases._EXCHANGE, *exchange_params(Finish(*params), claim, CLAIMED)) < most


def test_rescuing_what_a_dead_process_held(look):
    look.connection.execute(
        "update tributary.processes set beat_at = clock_timestamp() - interval '1 minute' where process_id = %s",
        (look.processes[0],),
    )
    statement = "select tributary.rescue_dead(0::smallint, make_interval(secs => 10), 500, null)"
    assert look.first_pages(statement) < 60_000
    left = "select count(*) from tributary.steps where state = 'running' and process_id = %s"
    assert kit.scalar(look.connection, left, look.processes[0]) == HELD - 500


def test_looking_for_the_dead_when_all_live(look):
    assert (
        look.pages("select tributary.rescue_dead(0::smallint, make_interval(secs => 10), 500, null)") < 6_000
    )


@pytest.mark.parametrize("silent", ["null", "interval '60 s'"])
def test_looking_for_chores_when_all_live(look, silent):
    """Whatever is ready, running, scheduled or finished: a probe for each thing that may be missing."""
    statement = f"select tributary.attend(1, 0, interval '10 s', null, {silent})"
    assert look.pages(statement) < 1_500


def test_reconciling_what_a_process_holds(look):
    run_ids, ordinals, seqs = look.connection.execute(
        "select array_agg(run_id), array_agg(ordinal), array_agg(seq) from tributary.steps"
        " where state = 'running' and process_id = %s",
        (look.processes[1],),
    ).fetchone()
    assert look.pages(leases._RECONCILE, 0, look.processes[1], run_ids, ordinals, seqs) < 12_000


def test_marking_starts(look):
    assert look.pages(leases._STARTED, 0, *held(look)[1:]) < 3_500


def test_a_beat(look):
    worker = kit.scalar(
        look.connection, "select tributary.register_worker('w', 'h', 1, '1', 3, '{default}', '{}', 4, '[]')"
    )
    beat = "select * from tributary.beat_worker(%s, 'running', 2, true, '{default, none}', %s, %s, %s, %s::jsonb[])"
    nothing = [None, None]
    assert look.pages(beat, worker, look.processes, nothing, nothing, nothing) < 200
    assert look.pages(beat, worker, look.processes, [4, 4], [1, 1], ["[]", "[]"]) < 200


def test_cancelling_what_expires_when_nothing_does(look):
    assert look.pages("select tributary.expire_steps(0::smallint, 500)") < 100


def test_cancelling_what_has_expired(look):
    late = """update tributary.steps set expires_at = clock_timestamp() - interval '1 s' where ctid = any (array(
                  select ctid from tributary.steps where state = 'available' and kind = 'intent' limit 500))"""
    look.connection.execute(late)
    assert look.first_pages("select tributary.expire_steps(0::smallint, 500)") < 40_000


def test_pruning_by_the_keep_of_a_workflow(look):
    look.connection.execute(
        "update tributary.runs set keep_name = 'w.done.v1' where ctid = any (array("
        "select ctid from tributary.runs where state = 'completed' order by run_id limit 2000))"
    )
    assert look.pages("select tributary.kept_from('w.done.v1', 200)") < 1_500
    oldest = kit.scalar(look.connection, "select tributary.kept_from('w.done.v1', 200)")
    begin = "00000000-0000-0000-0000-000000000000"
    prune = "select * from tributary.prune_kept(0::smallint, 'w.done.v1', %s, %s, null, null, 1000, true)"
    assert look.first_pages(prune, begin, oldest) < 40_000


def test_looking_up_who_holds_a_unique_key(look):
    submit = """select * from tributary.submit('t.work.v1', '{}', '{"unique": {"key": "k"}}')"""
    look.connection.execute(submit)
    assert look.pages(submit) < 200
