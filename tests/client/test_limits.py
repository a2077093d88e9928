"""Limits, samples and groups through the client: set, shown, explained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput
from tributary_daemon.store import membership


def queue(client, name="heavy"):
    (found,) = [queue for queue in client.queues() if queue.name == name]
    return found


def told(client, work_id, step=None):
    (reason,) = client.why(work_id, step).reasons
    return reason


@pytest.fixture
def served(client, hand):
    hand.offer("test.a.v1")
    hand.sql(
        "select tributary.register_worker('w1', 'box', 77, '0.1', 1, '{default,heavy}', %s, 20, '[]')",
        [["test.a.v1"]],
    )
    return client


def claim(hand, queue):
    """Claim as a worker does, within the limits; return how many rows."""
    return len(
        hand.sql(
            "select c.run_id from generate_series(0, tributary.shard_count() - 1) as n cross join lateral"
            " tributary.claim_leases(n::smallint, %s, array[%s], '{0}', array[''], '{0}', %s, 9) as c",
            [hand.process, queue, hand.names],
        )
    )


@pytest.mark.one_shard("claims the one row that is first, of one shard")
def test_limits_are_set_shown_and_explained(served, hand):
    assert served.set_queue("heavy", concurrency=2, rate="5000/h").to_json() == {
        "name": "heavy", "concurrency": 2, "rate": "5000/h",
    }  # fmt: skip
    assert served.set_queue("heavy", rate="none").to_json()["rate"] is None
    ids = [served.submit("test.a.v1", queue="heavy").id for _ in range(4)]
    assert (queue(served).concurrency, queue(served).opens_in) == (2, 0.0)
    assert told(served, ids[3]).code == "ready"
    assert claim(hand, "heavy") == 2
    full = queue(served).to_json()
    assert (full["running"], full["concurrency"], full["opens_in"]) == (2, 2, None)
    reason = told(served, ids[3])
    assert (reason.code, reason.hint) == (
        "queue_full",
        "`trib queue set heavy --concurrency N` lets more run",
    )
    served.set_queue("heavy", concurrency="none", rate="1/h")
    assert claim(hand, "heavy") == 1
    assert 3500 < queue(served).opens_in <= 3600
    reason = told(served, ids[3])
    assert reason.code == "queue_rate"
    assert "starts 1/h; the next attempt may start in 59m" in reason.message or "1h00m" in reason.message


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("heavy", {"concurrency": 0}, "0 is not a number of attempts"),
        ("heavy", {"concurrency": True}, "True is not a number of attempts"),
        ("heavy", {"rate": "often"}, "'often' is not a rate"),
        ("heavy:4", {"concurrency": 1}, "another meaning"),
    ],
)
def test_what_is_no_limit_is_refused(client, name, more, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        client.set_queue(name, **more)
    assert caught.value.hint


@pytest.mark.one_shard("claims a number of rows, of one shard")
def test_a_sample_tells_depth_and_age(served, hand, connection):
    assert queue(served, "default").sample is None
    served.submit_many("test.a.v1", [{}] * 30)
    served.submit("test.a.v1", run_after="1h")
    served.submit("test.a.v1", priority=9)
    served.submit("not.offered.v1")
    hand.sql("update tributary.steps set seq = seq - 60000000 where priority = 9")
    assert claim(hand, "default") == 9
    assert membership.sample_queues(connection) == 2
    sample = queue(served, "default").sample.to_json()
    known = ("ready", "scheduled", "running", "waiting", "ready_rate", "more")
    assert {key: sample[key] for key in known} == {
        "ready": 22, "scheduled": 1, "running": 9, "waiting": 1, "ready_rate": None, "more": [],
    }  # fmt: skip
    assert 60 <= sample["oldest_age"] < 90
    assert 0 <= sample["age"] < 30
    assert queue(served, "heavy").sample.ready == 0, "it is served"
    # a sample looks at so many rows and no more: what it says is a lower bound then, but for the oldest
    hand.sql("update tributary.queue_stats set sampled_at = sampled_at - interval '10 seconds'")
    hand.sql("select tributary.sample_queues(10)")
    assert queue(served, "default").sample.ready_rate == pytest.approx(0, abs=0.1), "a hundred are looked at"
    served.submit_many("test.a.v1", [{}] * 300)
    hand.sql("select tributary.sample_queues(10)")
    sample = queue(served, "default").sample
    assert (sample.ready, sample.more, sample.ready_rate) == (100, ("ready",), None)
    assert sample.oldest_age > 60
    # a queue of which nothing is left is not sampled for ever
    hand.sql("update tributary.workers set queues = '{default}'")
    membership.sample_queues(connection)
    assert [found.name for found in served.queues()] == ["default"]


def test_a_run_that_waits_for_its_group_waits_in_the_queue_of_its_first_steps(served, connection):
    flow = Workflow("w.v1").add("a", "test.a.v1").add("b", "test.a.v1", needs=["a"]).spec()
    grouped = replace(flow, concurrency={"group": "etl", "limit": 1, "on_limit": "queue"}, source="")
    for _ in range(3):
        served.submit(grouped)
    membership.sample_queues(connection)
    assert queue(served, "default").sample.waiting == 2


def test_private_queues_are_not_sampled_and_hide_none(served, hand, connection):
    for name in ("zeta", "Alpha"):
        served.submit("test.a.v1", queue=name)
    for number in range(3):
        served.submit("test.a.v1", queue="private")
        hand.sql("update tributary.steps set queue = %s where queue = 'private'", [f"@{number}~default"])
    hand.sql("update tributary.steps set queue = '~closing' where queue = '@1~default'")
    membership.sample_queues(connection)
    names = [row[0] for row in hand.sql("select queue from tributary.queue_stats order by 1")]
    assert names == ["Alpha", "default", "heavy", "zeta"]


def test_why_says_who_holds_the_group_and_who_comes_first(client, hand, diamond):
    hand.offer("test.a.v1")
    runs = [client.submit(diamond).id for _ in range(3)]
    for run in runs:
        hand.sql("select tributary.group_run(tributary.shard_of(%s), %s, 'etl-prod', 1, 'queue')", [run, run])
    roots = [reason for reason in client.why(runs[2]).reasons if reason.code == "group"]
    assert roots
    assert "its run waits for the group etl-prod: 1 of 1 slots held by" in roots[0].message
    assert runs[0][-8:] in roots[0].message
    assert roots[0].message.endswith("1 before it")
    assert roots[0].hint == f"`trib status {runs[0]}`"
    first = [reason for reason in client.why(runs[1]).reasons if reason.code == "group"]
    assert first[0].message.endswith("it is next")
    assert client.get(runs[1]).state == "waiting"
