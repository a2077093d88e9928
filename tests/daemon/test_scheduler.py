"""The leader's round over schedules, on a clock that the tests move: no worker runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon import events
from tributary_daemon.daemon.scheduler import Scheduler
from tributary_daemon.model.slots import due_at
from tributary_daemon.spec.workflow import InputSpec
from tributary_daemon.store import db, schedules

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTELY = "* * * * *"


class Leader:
    """A scheduler with the clock in its hands."""

    def __init__(self, connection):
        self.sql = connection
        self.scheduler = Scheduler()
        self.heard = []
        self.at(NOON)

    def at(self, now):
        self.now = now
        self.sql.execute("select set_config('tributary.fake_now', %s, false)", (now.isoformat(),))

    def passes(self, **span):
        """Let time pass and take a turn."""
        self.at(self.now + timedelta(**span))
        return self.turn()

    def turn(self):
        """Fire all that is due now."""
        for _ in range(100):
            if self.scheduler.turn(self.sql) == 0:
                break
        else:
            raise AssertionError("the leader comes to no end")

    def intent(self, name="s", cron=MINUTELY, **options):
        given = "".join(f", {key} => %({key})s" for key in options)
        row = self.sql.execute(
            f"select tributary.schedule_intent(%(name)s, %(cron)s, %(intent)s{given})",
            {"name": name, "cron": cron, "intent": kit.NAME, **options},
        ).fetchone()
        return row[0]

    def fires(self, name="s"):
        """Return (slot, outcome) oldest first."""
        rows = self.sql.execute(
            "select slot, outcome from tributary.schedule_fires where schedule = %s order by slot, missed",
            (name,),
        ).fetchall()
        return [(row[0].astimezone(UTC).strftime("%H:%M"), row[1]) for row in rows]

    def fired(self, name="s"):
        return [slot for slot, outcome in self.fires(name) if outcome == "fired"]

    def row(self, name="s"):
        names = "state, error, fired, missed, queued"
        return self.sql.execute(
            f"select {names} from tributary.schedules where name = %s", (name,)
        ).fetchone()

    def end(self, count=None):
        """End what runs or waits to run, oldest first."""
        self.sql.execute(
            "update tributary.steps set state = 'completed', finished_at = tributary.clock() where run_id in"
            " (select run_id from tributary.steps where state = 'available' order by run_at limit %s)",
            (count,),
        )

    def told(self):
        """Return the names of the events since the last call."""
        names = [type(event).__name__ for event in self.heard]
        self.heard.clear()
        return names


@pytest.fixture
def leader(connection):
    kit.offer(connection)
    made = Leader(connection)
    detach = events.attach(made.heard.append)
    yield made
    detach()


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
        assert leader.fires() == []
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


# --- what cannot work -----------------------------------------------------------------------------


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
    leader.sql.execute("update tributary.schedules set fired = 99")
    leader.passes(seconds=1)
    assert kit.scalar(leader.sql, "select count(*) from tributary.schedule_fires") == 1000
    kit.scalar(leader.sql, "select tributary.trim_fires('s')")
    assert len(leader.fired()) == 2
    assert kit.scalar(leader.sql, "select tributary.schedule_works('s')") is True
    leader.end()
    assert kit.scalar(leader.sql, "select tributary.schedule_works('s')") is False
