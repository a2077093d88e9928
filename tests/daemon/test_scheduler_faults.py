"""Schedules that cannot work, and what is kept of the others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.daemon.leader_kit import NOON, schedule_leader
from tests.store import protocol_kit as kit
from tributary_daemon.daemon import scheduler
from tributary_daemon.spec.workflow import InputSpec
from tributary_daemon.store import db


@pytest.fixture
def leader(connection):
    with schedule_leader(connection) as made:
        yield made


def test_a_bad_schedule_disables_itself_and_not_the_others(leader):
    spec = kit.workflow("w.v1", {"a": ()}, inputs={"email": InputSpec()})
    leader.sql.execute("select tributary.register_workflow('w.v1', %s, null)", (kit.save(leader.sql, spec),))
    leader.intent("a.cron", "61 * * * *")
    leader.intent("b.zone", timezone="Mars/Base")
    leader.intent("c.never", "0 0 30 2 *")
    workflows = "select tributary.schedule_workflow(%s, '* * * * *', %s, %s::jsonb)"
    leader.sql.execute(workflows, ("d.unknown", "nobody.v1", "{}"))
    leader.sql.execute(workflows, ("e.inputs", "w.v1", '{"mail": 1}'))
    leader.sql.execute(workflows, ("f.good", "w.v1", '{"email": "ada@example.org"}'))
    leader.intent("g.good")
    leader.turn()
    leader.passes(minutes=1)
    errors = dict(
        leader.sql.execute("select name, error from tributary.schedules where state = 'disabled'").fetchall()
    )
    assert set(errors) == {"a.cron", "b.zone", "c.never", "d.unknown", "e.inputs"}
    reasons = {
        "a.cron": "minutes are 0 to 59",
        "b.zone": "no time zone 'Mars/Base'",
        "c.never": "no day ever",
        "d.unknown": "no workflow named 'nobody.v1'",
        "e.inputs": "'email' is required",
    }
    for name, words in reasons.items():
        assert words in errors[name]
    assert leader.fired("f.good") == leader.fired("g.good") == ["12:01"]
    assert sorted(leader.told()) == ["ScheduleDisabled"] * 5 + ["ScheduleFired"] * 2
    # mended, it gets another chance
    assert leader.intent("a.cron", "2 * * * *") == "changed"
    leader.turn()
    leader.passes(minutes=1)
    assert leader.fired("a.cron") == ["12:02"]


def test_what_this_version_cannot_read_disables_its_schedule_alone(leader):
    leader.sql.execute(
        "insert into tributary.revisions"
        " values (gen_random_uuid(), now(), 'x', 'w.v1', '', jsonb_build_object('steps', 3))"
    )
    leader.sql.execute(
        "select tributary.register_workflow('w.v1', (select revision_id from tributary.revisions), null)"
    )
    leader.sql.execute("select tributary.schedule_workflow('a', '* * * * *', 'w.v1')")
    leader.intent("b")
    leader.turn()
    leader.passes(minutes=1)
    assert leader.row("a")[0] == "disabled"
    assert "cannot be read" in leader.row("a")[1]
    assert leader.fired("b") == ["12:01"]


@pytest.mark.one_shard("takes a key in shard 0")
def test_a_fault_of_the_moment_is_tried_again(leader, database):
    leader.intent("a")
    leader.intent("b")
    leader.turn()
    leader.sql.execute("set lock_timeout = '50ms'")
    with db.connect(database, application_name="holder", autocommit=False) as holder:
        holder.execute(
            "insert into tributary.keys (shard, tenant_id, key, run_id, name)"
            " values (0, '', 'schedule:a:2026-11-25T12:01:00.000000Z', gen_random_uuid(), 'x')"
        )
        leader.passes(minutes=1)
        assert leader.fires("a") == []
        assert leader.fired("b") == ["12:01"]
        assert sorted(leader.told()) == ["ScheduleFailed", "ScheduleFired"]
        holder.rollback()
    leader.scheduler._later.clear()
    leader.turn()
    assert leader.fired("a") == ["12:01"]
    assert leader.row("a")[0] == "active"


def test_a_leader_that_may_not_read_the_schedules_comes_again(leader, database, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(scheduler.time, "monotonic", lambda: clock[0])
    leader.intent("a")
    leader.turn()
    leader.at(NOON + timedelta(minutes=1))
    leader.sql.execute("set lock_timeout = '50ms'")
    leader.scheduler.told(0, queued=False)
    with db.connect(database, application_name="holder", autocommit=False) as holder:
        holder.execute("lock table tributary.schedules in access exclusive mode")
        leader.scheduler.fire(leader.sql)
        holder.rollback()
    assert leader.told() == ["ScheduleFailed"]
    assert leader.scheduler.due_in == 2
    clock[0] += 2
    leader.scheduler.fire(leader.sql)
    assert leader.fired("a") == ["12:01"]


def test_a_run_reads_the_time_of_its_slot(leader):
    spec = kit.workflow("w.v1", {"a": ()})
    leader.sql.execute("select tributary.register_workflow('w.v1', %s, null)", (kit.save(leader.sql, spec),))
    leader.sql.execute(
        "select tributary.schedule_workflow('nightly', '* * * * *', 'w.v1', jitter => '50 seconds',"
        " labels => jsonb_build_object('team', 'x'))"
    )
    leader.turn()
    leader.passes(seconds=119)
    run_at, labels, key = leader.sql.execute(
        "select run_at, labels, idempotency_key from tributary.runs"
    ).fetchone()
    assert run_at == NOON + timedelta(minutes=1)
    assert labels == {"team": "x", "schedule": "nightly"}
    assert key == "schedule:nightly:2026-11-25T12:01:00.000000Z"


def test_old_slots_are_forgotten_and_unfinished_work_is_not(leader):
    leader.intent(cron="* * * * * *", overlap="allow")
    leader.turn()
    leader.passes(seconds=1)
    leader.sql.execute(
        "insert into tributary.schedule_fires (schedule, slot, at, outcome)"
        " select 's', tributary.clock() - make_interval(hours => n), tributary.clock(), 'skipped'"
        " from generate_series(1, 1200) as n"
    )
    leader.passes(seconds=1)
    kit.scalar(leader.sql, "select tributary.trim_fires('s')")
    assert kit.scalar(leader.sql, "select count(*) from tributary.schedule_fires") == 1000
    kit.scalar(leader.sql, "select tributary.trim_fires('s')")
    assert len(leader.fired()) == 2
    assert kit.scalar(leader.sql, "select tributary.schedule_works('s')") is True
    leader.end()
    assert kit.scalar(leader.sql, "select tributary.schedule_works('s')") is False
