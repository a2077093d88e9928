"""From one shard to four and back with real workers: whatever waited goes on, and keys hold."""

from __future__ import annotations

import pytest

pytestmark = [
    pytest.mark.one_shard("begins with one shard, and changes that"),
    pytest.mark.timeout(300),  # three workers, six commands
]

WAITS = """
name: t.waits.v1
steps:
  ready: {wait: {signal: go}}
  pause: {wait: {for: 1s}, needs: ready}
  last: {task: trib.noop.v1, needs: pause}
"""
WRONG = """
    select count(*) from tributary.steps
    where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer %% tributary.shard_count()
"""


def test_work_in_every_state_goes_on_after_the_number_has_changed(desk, crew, trib):
    first = crew("--name", "first")
    runs = [desk.run(WAITS) for _ in range(6)]
    dead = desk.submit("t.effect.v1", {"fail": 9}, max_attempts=1)
    desk.until(dead, "discarded")
    keyed = [desk.submit("trib.noop.v1", idempotency_key=f"k{n}") for n in range(8)]
    for one in keyed:
        desk.until(one, "completed")
    later = desk.submit("trib.noop.v1", run_after="2100-01-01")
    desk.one("select tributary.schedule_intent('tick', '* * * * * *', 'trib.noop.v1')")
    waits = "select count(*) from tributary.waits"
    desk.wait(lambda: desk.one(waits) == (6,), 20, "all runs wait for their signal")

    refused = trib("migrate", "shards", 4)
    assert refused.returncode == 8, refused.stderr
    assert "while workers are at work: first" in refused.stderr
    assert first.stop() == 0
    printed = trib("migrate", "shards", 4, "--dry-run")
    assert printed.returncode == 0
    assert "update tributary.waits" in printed.stdout
    assert desk.one("select tributary.shard_count()") == (1,)
    done = trib("migrate", "shards", 4)
    assert done.returncode == 0, done.stderr
    assert "spread over 4 shards; it was 1" in done.stderr
    assert desk.one(WRONG) == (0,)
    shards = "select count(distinct shard) from tributary.steps"
    assert desk.one(shards)[0] > 1

    second = crew("--name", "second")
    for run in runs[:3]:
        desk.one("select tributary.signal(%s::uuid, 'go')", run)
    for run in runs[:3]:
        desk.until_run(run, "completed")
    assert [desk.submit("trib.noop.v1", idempotency_key=f"k{n}") for n in range(8)] == keyed
    fired = "select count(*) from tributary.schedule_fires where outcome = 'fired'"
    before = desk.one(fired)[0]
    desk.wait(lambda: desk.one(fired)[0] > before, 20, "schedules go on")
    assert second.stop() == 0

    done = trib("migrate", "shards", 1)
    assert "spread over 1 shard" in done.stderr
    assert desk.one(shards) == (1,)
    crew("--name", "third")
    for run in runs[3:]:
        desk.one("select tributary.signal(%s::uuid, 'go')", run)
    for run in runs[3:]:
        desk.until_run(run, "completed")
    desk.one("select tributary.requeue(%s)", dead)
    desk.until(dead, "discarded")
    assert desk.state(later) == "scheduled"
    assert [desk.submit("trib.noop.v1", idempotency_key=f"k{n}") for n in range(8)] == keyed
    assert trib("migrate", "shards", 0).returncode == 2
