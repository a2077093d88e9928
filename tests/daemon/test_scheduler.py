"""The leader's round over schedules, on a clock that the tests move: no worker runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.daemon.leader_kit import NOON, Leader, schedule_leader
from tests.store import protocol_kit as kit
from tributary_daemon.daemon import scheduler
from tributary_daemon.model.slots import due_at
from tributary_daemon.store import db, schedules


@pytest.fixture
def leader(connection):
    with schedule_leader(connection) as made:
        yield made


def test_a_slot_is_fired_when_it_comes_and_not_before(leader):
    assert leader.intent() == "created"
    leader.turn()
    leader.passes(seconds=59)
    assert leader.fires() == []
    leader.passes(seconds=1)
    assert leader.fires() == [("12:01", "fired")]
    run_at, created_at = leader.sql.execute("select run_at, created_at from tributary.steps").fetchone()
    assert (run_at, created_at) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=1))
    leader.turn()
    assert leader.fires() == [("12:01", "fired")]
    assert leader.told() == ["ScheduleFired"]


def test_a_turn_comes_when_a_slot_does(leader, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(scheduler.time, "monotonic", lambda: clock[0])
    own = leader.scheduler
    own.told(None, queued=False)
    assert own.due_in > 10**6
    own.fire(None)
    leader.intent("later", "@hourly")
    leader.intent("soon")
    leader.turn()
    own.told(60, queued=False)
    own.told(60, queued=True)
    assert own.due_in == 0
    own.fire(leader.sql)
    assert own.due_in == 60, "nothing that waits may start, and the next slot is not forgotten"
    clock[0] += 60
    leader.at(NOON + timedelta(minutes=1))
    own.fire(leader.sql)
    assert leader.fired("soon") == ["12:01"]
    assert own.due_in == 60, "known without asking"


def test_two_that_believe_to_lead_fire_each_slot_once(leader, database):
    leader.intent(overlap="allow")
    leader.turn()
    with db.connect(database, application_name="other") as connection:
        other = Leader(connection)
        stale = None
        for minute in range(1, 6):
            for one in (leader, other):
                one.at(NOON + timedelta(minutes=minute))
            stale = db.run(leader.sql, schedules.due([], 10))
            other.turn()
            # what this one has read is not true any more
            assert leader.scheduler._attend(leader.sql, stale[0]) is None
    assert leader.fired() == ["12:01", "12:02", "12:03", "12:04", "12:05"]
    assert kit.scalar(leader.sql, "select count(*) from tributary.steps") == 5


def test_a_row_that_somebody_holds_is_left_to_him(leader, database):
    leader.intent()
    leader.turn()
    with db.connect(database, application_name="holder", autocommit=False) as holder:
        holder.execute("select from tributary.schedules for update")
        leader.at(NOON + timedelta(minutes=1))
        assert leader.scheduler.turn(leader.sql) == 1
        assert leader.scheduler.turn(leader.sql) == 0, "others come first"
        assert leader.fires() == []
    leader.scheduler._later.clear()
    leader.turn()
    assert leader.fired() == ["12:01"]


def test_the_key_of_a_slot_outlives_the_schedule(leader):
    leader.intent()
    leader.passes(minutes=0)
    leader.passes(minutes=1)
    kit.scalar(leader.sql, "select tributary.unschedule('s')")
    assert kit.scalar(leader.sql, "select tributary.unschedule('s')") is False
    leader.at(NOON)
    leader.intent()
    leader.turn()
    leader.passes(minutes=1)
    assert leader.fired() == ["12:01"]
    assert kit.scalar(leader.sql, "select count(*) from tributary.steps") == 1


def test_jitter_delays_each_slot_by_its_own_share_and_keeps_its_time(leader):
    leader.intent(jitter="40 seconds", overlap="allow")
    leader.turn()
    at = []
    for _ in range(12):
        leader.at(kit.scalar(leader.sql, "select next_at from tributary.schedules"))
        leader.turn()
        at.append(leader.now)
    slots = [NOON + timedelta(minutes=minute) for minute in range(1, 13)]
    assert at == [due_at("s", slot, 40) for slot in slots]
    late = [(one - slot).total_seconds() for one, slot in zip(at, slots, strict=True)]
    assert all(0 <= seconds < 40 for seconds in late)
    assert len(set(late)) == 12
    runs = leader.sql.execute("select run_at from tributary.steps order by run_at").fetchall()
    assert [row[0] for row in runs] == slots


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
def test_the_zone_of_the_session_does_not_matter(leader, zone):
    kit.scalar(leader.sql, "select set_config('timezone', %s, false)", zone)
    leader.at(datetime(2026, 10, 24, 22, 30, tzinfo=UTC))
    leader.intent("hours", "0 * * * *", timezone="Europe/Berlin", overlap="allow", catchup="5 hours")
    leader.intent("nightly", "30 2 * * *", timezone="Europe/Berlin", catchup="1 hour", jitter="90 minutes")
    leader.turn()
    leader.passes(hours=4)
    assert leader.fired("hours") == ["23:00", "00:00", "01:00", "02:00"]
    assert leader.fired("nightly") == ["00:30"]
    leader.passes(hours=18)
    assert leader.row("hours")[3] == 13
    assert len(leader.fired("hours")) == 4 + 5


# --- overlap --------------------------------------------------------------------------------------


def test_skip_leaves_a_slot_out_while_earlier_work_goes_on(leader):
    leader.intent()
    leader.turn()
    for _ in range(3):
        leader.passes(minutes=1)
    leader.end()
    leader.passes(minutes=1)
    assert leader.fires() == [
        ("12:01", "fired"),
        ("12:02", "skipped"),
        ("12:03", "skipped"),
        ("12:04", "fired"),
    ]
    assert leader.told() == ["ScheduleFired", "ScheduleSkipped", "ScheduleSkipped", "ScheduleFired"]


def test_queue_starts_each_slot_when_the_earlier_has_ended(leader):
    leader.intent(overlap="queue")
    leader.turn()
    for _ in range(3):
        leader.passes(minutes=1)
    assert leader.fires() == [("12:01", "fired"), ("12:02", "queued"), ("12:03", "queued")]
    assert leader.row()[-1] == 2
    leader.end()
    leader.passes(seconds=2)
    leader.passes(seconds=2)
    assert leader.fires() == [("12:01", "fired"), ("12:02", "fired"), ("12:03", "queued")]
    leader.end()
    leader.passes(seconds=2)
    assert leader.fired() == ["12:01", "12:02", "12:03"]
    runs = leader.sql.execute("select run_at from tributary.steps order by created_at").fetchall()
    assert [row[0].astimezone(UTC).strftime("%H:%M") for row in runs] == leader.fired()


def test_allow_lets_all_of_them_run(leader):
    leader.intent(overlap="allow")
    leader.turn()
    for _ in range(3):
        leader.passes(minutes=1)
    assert leader.fired() == ["12:01", "12:02", "12:03"]


def test_a_trigger_fires_at_once_and_counts_as_earlier_work(leader):
    leader.intent(cron="@hourly")
    leader.passes(minutes=10)
    run_id = kit.scalar(leader.sql, "select tributary.trigger_schedule('s')")
    assert kit.scalar(leader.sql, "select run_id from tributary.steps") == run_id
    leader.passes(minutes=50)
    assert leader.fires() == [("12:10", "fired"), ("13:00", "skipped")]
    leader.end()
    leader.passes(hours=1)
    assert leader.fired() == ["12:10", "14:00"]


# --- outages --------------------------------------------------------------------------------------


def test_without_catchup_an_outage_leaves_out_what_is_older_than_a_minute(leader):
    leader.intent()
    leader.turn()
    leader.passes(minutes=10, seconds=30)
    rows = leader.sql.execute(
        "select slot, until, missed from tributary.schedule_fires where missed > 0"
    ).fetchall()
    assert rows == [(NOON + timedelta(minutes=1), NOON + timedelta(minutes=9), 9)]
    assert leader.fired() == ["12:10"]
    assert leader.row()[3] == 9
    assert leader.told() == ["ScheduleSkipped", "ScheduleFired"]


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
def test_catchup_makes_up_for_an_outage_in_order(leader, overlap):
    leader.intent(cron="*/10 * * * *", catchup="1 hour", overlap=overlap)
    leader.turn()
    leader.passes(hours=2, seconds=5)
    for _ in range(8):
        leader.end(1)
        leader.passes(seconds=2)
    slots = ["13:10", "13:20", "13:30", "13:40", "13:50", "14:00"]
    assert leader.fires() == [("12:10", "missed"), *((slot, "fired") for slot in slots)]
    assert leader.row()[3] == 6
    runs = leader.sql.execute("select run_at from tributary.steps order by seq").fetchall()
    assert [row[0].astimezone(UTC).strftime("%H:%M") for row in runs] == slots


def test_a_year_of_minutes_is_jumped_over(leader):
    leader.intent(overlap="allow", catchup="30 minutes")
    leader.turn()
    started = time.monotonic()
    leader.passes(days=365)
    assert time.monotonic() - started < 5
    rows = leader.sql.execute(
        "select missed, until from tributary.schedule_fires where missed > 0"
    ).fetchall()
    assert rows == [(1000, NOON + timedelta(days=365, minutes=-30))]
    assert len(leader.fired()) == 31


def test_a_queue_that_is_full_holds_the_slots_back(leader):
    leader.intent(cron="* * * * * *", overlap="queue")
    leader.turn()
    leader.passes(seconds=1)
    leader.sql.execute("update tributary.schedules set queued = 1000")
    leader.passes(seconds=5)
    assert leader.fired() == ["12:00"]
    assert kit.scalar(leader.sql, "select next_slot from tributary.schedules") == NOON + timedelta(seconds=2)


# --- pauses ---------------------------------------------------------------------------------------


def test_what_comes_during_a_pause_is_left_out_unless_asked_for(leader):
    leader.intent(catchup="1 hour")
    leader.turn()
    assert kit.scalar(leader.sql, "select tributary.pause_schedule('s')") == "active"
    leader.passes(minutes=5)
    assert kit.scalar(leader.sql, "select tributary.resume_schedule('s')") == "paused"
    leader.turn()
    assert leader.fires() == []
    leader.passes(minutes=1)
    assert leader.fired() == ["12:06"]
    leader.end()
    kit.scalar(leader.sql, "select tributary.pause_schedule('s')")
    leader.passes(minutes=3)
    kit.scalar(leader.sql, "select tributary.resume_schedule('s', true)")
    for _ in range(4):
        leader.passes(seconds=1)
        leader.end()
    assert leader.fired() == ["12:06", "12:07", "12:08", "12:09"]


def test_a_change_keeps_the_pause_and_the_next_slot(leader):
    leader.intent(cron="@hourly")
    leader.turn()
    assert leader.intent(cron="@hourly") == "unchanged"
    leader.passes(minutes=10)
    assert leader.intent(cron="@hourly", priority=3) == "changed"
    assert kit.scalar(leader.sql, "select next_slot from tributary.schedules") == NOON + timedelta(hours=1)
    kit.scalar(leader.sql, "select tributary.pause_schedule('s')")
    assert leader.intent() == "changed"
    assert leader.row()[0] == "paused"
