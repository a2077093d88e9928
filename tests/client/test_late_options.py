"""Expressions in options, by hand: what becomes of a step between its claim and what is decided about it."""

from __future__ import annotations

import json

import pytest

TEXT = """
name: test.late.v1
defaults: {priority: 2}
steps:
  a: {task: test.a.v1, priority: "${{ inputs.p }}", timeout: "${{ inputs.t }}", queue: fixed, max_attempts: 6}
inputs: {p: {type: integer, default: 5}, t: {type: string, default: 1m}}
"""


@pytest.fixture
def submit(client, tmp_path):
    def start(text=TEXT, **options):
        path = tmp_path / "late.yaml"
        path.write_text(text)
        return str(client.submit(str(path), **options).id)

    return start


def row(hand, run_id, step="a"):
    return hand.sql(
        "select name, queue, state::text, reason, priority, attempt, max_attempts from tributary.steps"
        " where run_id = %s and step_id = %s", [run_id, step],
    )[0]  # fmt: skip


def options(hand, run_id, ordinal=1):
    return hand.sql(
        "select options from tributary.payloads where run_id = %s and ordinal = %s", [run_id, ordinal]
    )[0][0]


def decide(hand, values):
    claimed = hand.claim()
    assert hand.finish(claimed, "decided", result=values) == []
    return claimed


def test_a_step_waits_under_a_control_name_and_shows_its_own(client, hand, submit):
    hand.offer("test.a.v1")
    run_id = submit()
    assert row(hand, run_id) == ("trib.options.v1", "~closing", "available", None, 32000, 0, 3)
    kept = options(hand, run_id)
    assert kept["expressions"] == {
        "priority": {"text": "${{ inputs.p }}"},
        "timeout": {"text": "${{ inputs.t }}"},
    }
    shown = client.get(run_id).steps["a"]
    assert (shown.name, shown.state, shown.priority) == ("test.a.v1", "available", 2)
    (reason,) = client.why(run_id).reasons
    assert (reason.code, reason.message) == ("no_worker", "no worker is alive")
    claimed = hand.claim()
    (reason,) = client.why(run_id).reasons
    assert (reason.code, reason.message.split(" in ")[0]) == ("options", "its options are being decided")
    assert hand.finish(claimed, "decided", result={"priority": 7}) == []
    assert row(hand, run_id) == ("test.a.v1", "fixed", "available", None, 7, 0, 6)
    assert [event.type for event in client.events(run_id).items] == ["run_created", "step_decided"]
    # so it may still be replaced, or expire
    assert hand.sql("select tributary.has_not_started(%s)", [run_id]) == [(True,)]


def test_levels_hold_below_what_the_expressions_give(hand, submit):
    hand.offer("test.a.v1")
    run_id = submit(priority=9, timeout="3s")
    decide(hand, {})
    assert row(hand, run_id)[4] == 9
    assert options(hand, run_id)["timeout"] == {"value": 3.0, "level": "submit"}
    run_id = submit(priority=9)
    decide(hand, {"priority": 1, "timeout": 60.0})
    kept = options(hand, run_id)
    assert (row(hand, run_id)[4], kept["timeout"]) == (1, {"value": 60.0, "level": "step"})
    assert kept["expressions"]["priority"] == {
        "text": "${{ inputs.p }}",
        "else": {"value": 9, "level": "submit"},
    }


def test_a_handler_that_is_offered_meanwhile_has_its_say(hand, submit):
    first, second = submit(), submit()
    hand.offer("other.v1")
    decide(hand, {"timeout": 60.0})
    assert row(hand, first)[:5] == ("test.a.v1", "fixed", "waiting", "no_handler", 2)
    offered = {"name": "test.a.v1", "options": {"priority": 4, "timeout": 5, "max_attempts": 2}}
    hand.sql("select tributary.register_handlers('python', %s)", [json.dumps([offered])])
    hand.sql(
        "select tributary.release_waiting(tributary.shard_of(id), 100) from unnest(%s::uuid[]) as id",
        [[first, second]],
    )
    assert row(hand, first) == ("test.a.v1", "fixed", "available", None, 4, 0, 6)
    assert options(hand, first)["timeout"] == {"value": 60.0, "level": "step"}
    # offered before it is decided
    decide(hand, {})
    assert row(hand, second)[:5] == ("test.a.v1", "fixed", "available", None, 4)
    assert options(hand, second)["timeout"] == {"value": 5, "level": "handler"}


def test_a_pause_while_it_is_decided_holds_it_behind_that(client, hand, submit):
    hand.offer("test.a.v1")
    run_id = submit()
    claimed = hand.claim()
    client.pause(run_id)
    assert hand.finish(claimed, "decided", result={"priority": 7}) == []
    assert row(hand, run_id)[:5] == ("test.a.v1", "fixed", "waiting", "paused", 7)
    client.resume(run_id)
    assert row(hand, run_id)[:5] == ("test.a.v1", "fixed", "available", None, 7)


def test_a_cancel_while_it_is_decided_makes_the_decision_void(client, hand, submit):
    hand.offer("test.a.v1")
    run_id = submit()
    claimed = hand.claim()
    client.cancel(run_id)
    assert len(hand.finish(claimed, "decided", result={"priority": 7})) == 1
    assert row(hand, run_id)[:4] == ("trib.options.v1", "~closing", "cancelled", "cancelled")
    shown = client.get(run_id).steps["a"]
    assert (shown.name, shown.state) == ("test.a.v1", "cancelled")
    client.retry(run_id)
    decide(hand, {"priority": 8})
    assert row(hand, run_id)[:5] == ("test.a.v1", "fixed", "available", None, 8)


def test_whoever_dies_while_it_decides_leaves_it_to_others(hand, submit):
    hand.offer("test.a.v1")
    run_id = submit()
    for _ in range(3):
        claimed = hand.claim()
        assert claimed is not None
        hand.sql("update tributary.processes set beat_at = tributary.clock() - interval '1 hour'")
        hand.sql("select tributary.rescue(tributary.shard_of(%s), '10 seconds', 100)", [run_id])
        assert row(hand, run_id)[:3] == ("trib.options.v1", "~closing", "available")
        assert len(hand.finish(claimed, "decided", result={"priority": 7})) == 1
        hand.offer("test.a.v1")
    decide(hand, {"priority": 7})
    assert row(hand, run_id)[:5] == ("test.a.v1", "fixed", "available", None, 7)
    assert hand.sql("select lone_crashes from tributary.steps where run_id = %s", [run_id]) == [(None,)]


def test_a_change_takes_the_place_of_the_expression(client, hand, submit):
    hand.offer("test.a.v1")
    run_id = submit()
    client.change(run_id, step="a", priority=-3, queue="other")
    assert row(hand, run_id)[1] == "~closing"
    kept = options(hand, run_id)
    assert list(kept["expressions"]) == ["timeout"]
    decide(hand, {"timeout": 9.0})
    assert row(hand, run_id)[:5] == ("test.a.v1", "other", "available", None, -3)
    client.change(run_id, step="a", priority=12)
    assert (row(hand, run_id)[0], row(hand, run_id)[4]) == ("test.a.v1", 12)


def test_options_that_hold_no_expressions_cost_nothing(hand, submit):
    hand.offer("test.a.v1")
    run_id = submit("name: n.v1\nsteps: {a: {task: test.a.v1, priority: 3}}\n")
    assert row(hand, run_id)[:5] == ("test.a.v1", "default", "available", None, 3)
    assert "expressions" not in options(hand, run_id)
