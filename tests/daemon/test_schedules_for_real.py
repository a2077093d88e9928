"""Schedules with real workers: each slot once, whatever happens to the one that leads."""

from __future__ import annotations

import signal
from datetime import timedelta

FIRES = "select slot, outcome from tributary.schedule_fires where schedule = 'tick' order by slot"
LEADER = (
    "select w.pid from tributary.leaders l join tributary.workers w using (worker_id)"
    " where l.role = 'maintenance'"
)
BACKFILL = """
    select tributary.backfill_slot('yearly', slot, null, null)
    from (select slot from generate_series(now() - interval '2 years', now(), interval '1 year') as slot) as s
"""


def test_each_second_is_fired_once_though_its_leader_is_killed(crew, desk, eventually):
    workers = {worker.pid: worker for worker in (crew("--name", "one"), crew("--name", "two"))}
    desk.one("select tributary.schedule_intent('bad', '* * * * *', 'trib.noop.v1', timezone => 'Mars/Base')")
    desk.one("select tributary.schedule_intent('tick', '* * * * * *', 'trib.noop.v1', overlap => 'allow')")

    desk.one("select tributary.schedule_intent('yearly', '@yearly', 'trib.noop.v1', priority => 7)")
    desk.sql.execute(BACKFILL)

    def fired():
        return desk.sql.execute(FIRES).fetchall()

    eventually(lambda: len(fired()) >= 2, 20, "two slots are fired")
    leader = workers.pop(desk.one(LEADER)[0])
    leader.kill()
    killed = desk.one("select now()")[0]
    # its lease would end by itself some seconds later
    desk.sql.execute("update tributary.leaders set expires_at = now()")
    eventually(lambda: fired()[-1][0] > killed + timedelta(seconds=2), 20, "the other one leads")
    desk.one("select tributary.pause_schedule('tick')")
    rows = fired()
    slots = [slot for slot, _ in rows]
    assert {outcome for _, outcome in rows} == {"fired"}
    assert slots == [slots[0] + timedelta(seconds=n) for n in range(len(slots))], "none is left out"
    runs = desk.sql.execute(
        "select run_at from tributary.steps where priority = 0 order by run_at"
    ).fetchall()
    assert [row[0] for row in runs] == slots, "and none is fired twice"
    (survivor,) = workers.values()
    assert "schedule fired" in survivor.log()
    state, error = desk.one("select state, error from tributary.schedules where name = 'bad'")
    assert state == "disabled"
    assert "no time zone 'Mars/Base'" in error
    assert sum("schedule disabled" in worker.log() for worker in (leader, survivor)) == 1
    # slots that wait were started one after the other meanwhile
    order = "array_agg(run_at order by finished_at) = array_agg(run_at order by run_at)"
    done = f"select count(finished_at) = 3 and {order} from tributary.steps where priority = 7"
    eventually(lambda: desk.one(done)[0], 20, "all that waited has run in order")


def test_a_leader_that_drains_fires_what_is_due_until_it_has_left(crew, desk, eventually):
    worker = crew()
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", run)
    desk.one("select tributary.schedule_intent('tick', '* * * * * *', 'trib.noop.v1', overlap => 'allow')")
    eventually(lambda: desk.sql.execute(FIRES).fetchall(), 20, "a slot is fired")
    worker.process.send_signal(signal.SIGTERM)
    desk.wait(lambda: "worker draining" in worker.log(), 10, "it drains")
    draining = desk.one("select now()")[0]
    # it holds the lease, so nobody else would fire them
    eventually(
        lambda: desk.sql.execute(FIRES).fetchall()[-1][0] > draining + timedelta(seconds=2),
        20,
        "slots that come while it drains are fired",
    )
    desk.open()
    assert worker.process.wait(20) == 0
