"""Schedules that are changed, or whose zone's rules are, between two slots; and what their workflow asks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.daemon.leader_kit import NOON, schedule_leader
from tests.store import protocol_kit as kit
from tributary_daemon.model.slots import due_at


@pytest.fixture
def leader(connection):
    with schedule_leader(connection) as made:
        yield made


def register(leader, **head):
    spec = kit.workflow("w.v1", {"a": ()}, **head)
    leader.sql.execute("select tributary.register_workflow('w.v1', %s, null)", (kit.save(leader.sql, spec),))


def schedule(leader, cron="* * * * *", labels="{}"):
    leader.sql.execute(
        "select tributary.schedule_workflow('s', %s, 'w.v1', labels => %s::jsonb, overlap => 'allow')",
        (cron, labels),
    )
    leader.turn()


@pytest.mark.parametrize("after", ["0", "10 minutes"])
def test_another_jitter_holds_from_the_next_slot_on(leader, after):
    leader.intent(cron="0 13 * * *", jitter="50 minutes")
    leader.turn()
    assert leader.intent(cron="0 13 * * *", jitter=after) == "changed"
    leader.turn()
    seconds = 600 if after != "0" else 0
    due = due_at("s", NOON + timedelta(hours=1), seconds)
    assert kit.scalar(leader.sql, "select next_at from tributary.schedules") == due
    leader.at(due)
    leader.turn()
    assert leader.fires() == [("13:00", "fired")]


def test_a_slot_that_waits_for_its_jitter_is_fired_when_that_is_taken_away(leader):
    leader.intent(cron="0 13 * * *", jitter="50 minutes")
    leader.turn()
    leader.passes(hours=1, minutes=5)
    assert leader.fires() == []
    leader.intent(cron="0 13 * * *")
    leader.turn()
    assert leader.fires() == [("13:00", "fired")]


def test_another_jitter_is_no_catch_up_for_an_outage(leader):
    leader.intent(cron="0 13 * * *", jitter="50 minutes")
    leader.turn()
    leader.at(NOON + timedelta(hours=8))
    leader.intent(cron="0 13 * * *")
    leader.turn()
    assert leader.fires() == [("13:00", "missed")]


def test_a_slot_that_another_set_of_zones_has_moved_is_fired_at_its_new_time(leader):
    leader.intent(cron="0 13 * * *", catchup="1 day")
    leader.turn()
    # another worker's zones said so
    moved = NOON + timedelta(minutes=30)
    leader.sql.execute("update tributary.schedules set next_slot = %s, next_at = %s", (moved, moved))
    leader.passes(minutes=30)
    assert leader.scheduler.due_in > 60, "it does not spin"
    leader.passes(minutes=30)
    assert leader.fires() == [("13:00", "fired")]


def test_a_clock_that_went_ahead_and_came_back_leaves_no_schedule_waiting(leader):
    leader.intent(overlap="allow")
    leader.turn()
    leader.passes(minutes=1)
    leader.passes(days=1)
    ahead = leader.fired()
    leader.at(NOON + timedelta(minutes=1, seconds=30))
    leader.turn()
    leader.at(NOON + timedelta(minutes=2))
    leader.scheduler.doubt()
    leader.scheduler.fire(leader.sql)
    leader.passes(minutes=1)
    assert set(leader.fired()) == {*ahead, "12:03"}
    # a step back behind a slot that was fired: its key gives the same work
    count = kit.scalar(leader.sql, "select count(*) from tributary.steps")
    leader.passes(seconds=-30)
    leader.scheduler.doubt()
    leader.scheduler.fire(leader.sql)
    leader.passes(seconds=30)
    assert kit.scalar(leader.sql, "select count(*) from tributary.steps") == count


def test_each_slot_is_asked_by_itself_also_where_several_come_together(leader):
    register(leader, preconditions=({"if": "!endsWith(run.scheduled_for, ':02:00+00:00')", "message": None},))
    schedule(leader)
    leader.at(NOON + timedelta(minutes=2))
    leader.turn()
    assert leader.fires() == [("12:01", "fired"), ("12:02", "missed")]
    assert leader.told() == ["ScheduleFired", "ScheduleSkipped"]


def test_labels_of_the_schedule_are_those_that_its_runs_are_asked_with(leader):
    register(
        leader,
        labels={"env": "dev"},
        concurrency={"group": "deploy-${{ run.labels.env }}", "limit": 1, "on_limit": "queue"},
    )
    schedule(leader, labels='{"env": "prod"}')
    leader.passes(minutes=1)
    assert leader.row()[:2] == ("active", None)
    assert kit.scalar(leader.sql, "select array_agg(name) from tributary.groups") == ["deploy-prod"]
