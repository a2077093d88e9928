"""Limits of queues over all workers: never exceeded, never leaked, paid by their own queues alone."""

from __future__ import annotations

import random
import threading

import psycopg
import pytest

from tests.store import protocol_kit as kit

LIMIT = 3
RUNNING = "select count(*) from tributary.steps where state = 'running' and queue = 'heavy'"


def limit(connection, name="heavy", concurrency=None, rate=None):
    """Set limits of a queue; return what they are then."""
    return connection.execute(
        "select max_running, max_rate from tributary.set_queue(%s, %s, %s)", (name, concurrency, rate)
    ).fetchone()


def submit(connection, count, queue="heavy", **options):
    return [kit.intent(connection, queue=queue, **options) for _ in range(count)]


def process(connection, *queues):
    return kit.Process(connection, queues=queues or ("heavy",))


def opens(connection):
    return kit.scalar(connection, "select tributary.queue_opens('heavy')")


@pytest.fixture
def offered(connection):
    kit.offer(connection)
    return connection


def test_no_more_run_at_once_than_the_limit_says(offered):
    limit(offered, concurrency=LIMIT)
    submit(offered, 8)
    one, other = process(offered), process(offered)
    first = one.claim(2)
    second = other.claim()
    assert (len(first), len(second), other.claim()) == (2, 1, [])
    assert opens(offered) is None
    one.finish(first[:1])
    assert opens(offered) == 0
    assert len(other.claim()) == 1
    assert kit.scalar(offered, RUNNING) == LIMIT


@pytest.mark.parametrize("outcome", ["completed", "discarded", "retry", "released", "snoozed"])
def test_whatever_an_attempt_leads_to_frees_its_slot(offered, outcome):
    limit(offered, concurrency=1)
    submit(offered, 2)
    worker = process(offered)
    (held,) = worker.claim()
    worker.finish([held], outcome, delay=600)
    assert len(worker.claim()) == 1
    assert worker.claim() == []


def test_a_cancel_and_a_rescue_free_slots(offered):
    limit(offered, concurrency=2)
    submit(offered, 4)
    dead, other = process(offered), process(offered)
    first, second = dead.claim()
    offered.execute("select tributary.cancel(%s)", (first.run_id,))
    assert len(other.claim()) == 1
    dead.fall_silent()
    assert other.claim() == []
    assert kit.rescue(offered) == 1
    again = other.claim()
    assert len(again) == 1
    assert kit.scalar(offered, RUNNING) == 2
    assert second.run_id in {item.run_id for item in again} | {
        kit.row(offered, second.run_id)["run_id"].__str__()
    }


def test_what_runs_already_counts_when_the_limit_comes(offered):
    submit(offered, 5)
    worker = process(offered)
    before = worker.claim(2)
    limit(offered, concurrency=LIMIT)
    assert len(worker.claim()) == 1
    worker.finish(before)
    assert len(worker.claim()) == 2
    assert limit(offered, concurrency=0) == (None, None)
    submit(offered, 5)
    assert len(worker.claim()) == 5


def test_a_claim_that_began_before_the_limit_is_counted_by_the_next(offered, database):
    submit(offered, 5)
    worker = process(offered)
    with psycopg.connect(database) as late:
        claimed = kit.Process(late, queues=("heavy",))
        late.commit()
        claimed.claim(2)
        limit(offered, concurrency=2)
        late.commit()
    assert worker.claim() == []
    assert kit.scalar(offered, RUNNING) == 2


def test_a_lower_limit_holds_for_new_claims_and_a_higher_one_at_once(offered):
    limit(offered, concurrency=4)
    submit(offered, 9)
    worker = process(offered)
    held = worker.claim()
    assert limit(offered, concurrency=2) == (2, None)
    worker.finish(held[:2])
    assert worker.claim() == []
    worker.finish(held[2:3])
    assert len(worker.claim()) == 1
    limit(offered, concurrency=4)
    assert len(worker.claim()) == 2


def test_other_queues_go_on_and_the_order_of_priorities_stays(offered):
    limit(offered, concurrency=1)
    urgent = submit(offered, 2, priority=9)
    usual = submit(offered, 2, queue="default", priority=5)
    late = submit(offered, 2, priority=1)
    worker = process(offered, "heavy", "default")
    taken = {item.run_id for item in worker.claim(10)}
    assert taken == {urgent[0], *usual}
    assert not taken & set(late)


def test_a_busy_counter_leaves_its_queue_out_and_nobody_waits(offered, database):
    limit(offered, concurrency=5)
    submit(offered, 2)
    submit(offered, 1, queue="default")
    worker = process(offered, "heavy", "default")
    with psycopg.connect(database) as claiming:
        claiming.execute("select tributary.queue_room('heavy', 1)")
        assert [item.queue for item in worker.claim()] == ["default"]
    assert [item.queue for item in worker.claim()] == ["heavy", "heavy"]


def test_a_rate_lets_a_seconds_worth_start_and_then_what_time_brings(offered):
    offered.execute("select set_config('tributary.fake_now', '2031-01-01T00:00:00Z', false)")
    worker = process(offered)
    limit(offered, rate="4/s")
    submit(offered, 30)
    assert len(worker.claim()) == 4
    assert worker.claim() == []
    assert 0 < opens(offered) <= 0.25
    kit.advance(offered, "0.5 s")
    worker.beat()
    assert len(worker.claim()) == 2
    kit.advance(offered, "1 hour")
    worker.beat()
    assert len(worker.claim()) == 4, "an hour saves up no more than a second"


def test_a_slow_rate_lets_one_start_at_a_time(offered):
    offered.execute("select set_config('tributary.fake_now', '2031-01-01T00:00:00Z', false)")
    worker = process(offered)
    assert limit(offered, rate="6/m") == (None, "6/m")
    submit(offered, 5)
    assert len(worker.claim()) == 1
    kit.advance(offered, "9 s")
    worker.beat()
    assert worker.claim() == []
    assert opens(offered) == pytest.approx(1, abs=0.01)
    kit.advance(offered, "1.001 s")
    assert len(worker.claim()) == 1
    # the clock is set back: the rate goes on from there
    kit.advance(offered, "-1 hour")
    worker.beat()
    assert worker.claim() == []
    kit.advance(offered, "10.001 s")
    worker.beat()
    assert len(worker.claim()) == 1


def test_limits_are_changed_one_by_one(offered):
    assert limit(offered, concurrency=4, rate="5000/h") == (4, "5000/h")
    assert limit(offered, concurrency=2) == (2, "5000/h")
    assert limit(offered, rate="none") == (2, None)
    assert limit(offered, rate="1/90s") == (2, "1/90s")
    assert limit(offered) == (2, "1/90s")
    assert limit(offered, concurrency=0, rate="none") == (None, None)
    assert kit.scalar(offered, "select count(*) from tributary.queue_counters") == 0


@pytest.mark.parametrize(
    ("name", "concurrency", "rate"),
    [("heavy", -1, None), ("heavy", None, "fast"), ("heavy", None, "0/s"), ("heavy", None, "5/week"),
     ("a:b", 1, None), ("~closing", 1, None), ("@1", 1, None), ("", 1, None), (" x", 1, None)],
)  # fmt: skip
def test_what_cannot_be_a_limit_is_refused(offered, name, concurrency, rate):
    with pytest.raises(psycopg.Error) as caught:
        limit(offered, name, concurrency, rate)
    assert caught.value.sqlstate == "TR001"


def test_the_beat_is_silent_about_a_queue_that_is_full(offered):
    limit(offered, concurrency=1)
    submit(offered, 2)
    worker = process(offered)
    ready = "select ready from tributary.supervise(0, '{}', '{heavy,default}', false, 'running')"
    assert kit.scalar(offered, ready) == ["heavy"]
    (held,) = worker.claim()
    assert kit.scalar(offered, ready) == []
    worker.finish([held])
    assert kit.scalar(offered, ready) == ["heavy"]


def test_workers_of_other_runtimes_are_bound_by_it_and_wake_others(offered, database):
    limit(offered, concurrency=1)
    submit(offered, 3)
    other = kit.Process(offered, queues=("heavy",), runtime="other")
    offered.execute("update tributary.registry set runtime = 'other'")
    take = "select run_id, token from tributary.claim(%s, '{heavy}', %s, 5)"
    ((run_id, token),) = offered.execute(take, (other.id, [kit.NAME])).fetchall()
    assert offered.execute(take, (other.id, [kit.NAME])).fetchall() == []
    offered.execute("select tributary.register_worker('w', 'h', 1, '0', 1, '{heavy}', '{}', 10, '[]')")
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen tributary_wake")
        assert kit.scalar(offered, "select tributary.finish(%s, %s, %s)", other.id, run_id, token)
        assert [note.payload for note in listener.notifies(timeout=5, stop_after=1)] == ["heavy"]


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
def test_suspects_are_claimed_within_the_limit(offered):
    limit(offered, concurrency=1)
    runs = submit(offered, 2)
    other = kit.Process(offered, queues=("heavy",), runtime="other")
    offered.execute("update tributary.registry set runtime = 'other'")
    offered.execute("update tributary.steps set lone_crashes = 0, crashes = 1, attempt = 1")
    take = "select run_id::text from tributary.claim_suspect(0::smallint, %s, '{heavy}', %s)"
    assert offered.execute(take, (other.id, [kit.NAME])).fetchall() == [(runs[0],)]
    assert offered.execute(take, (other.id, [kit.NAME])).fetchall() == []


def test_eight_connections_never_exceed_it_whatever_dies(offered, database):
    """Clients claim, finish, fail, fall silent; the committed state is looked at after every claim."""
    limit(offered, concurrency=LIMIT)
    submit(offered, 150)
    most, lock = [0], threading.Lock()

    def client(connection, seed):
        chance = random.Random(seed)
        worker = process(connection)
        while kit.scalar(connection, "select exists(select from tributary.steps where finished_at is null)"):
            claimed = worker.claim(chance.randint(1, 4))
            running = kit.scalar(connection, RUNNING)
            with lock:
                most[0] = max(most[0], running)
            if claimed and chance.random() < 0.1:
                worker.fall_silent()  # killed: it says nothing more
                worker = process(connection)
            elif claimed:
                worker.finish(claimed, chance.choice(["completed"] * 4 + ["released", "discarded"]))
            kit.rescue(connection)

    with kit.connections(database, 8) as opened:
        kit.together(*[lambda c=c, s=s: client(c, s) for s, c in enumerate(opened)])
    assert most[0] == LIMIT
    assert kit.scalar(offered, RUNNING) == 0
    assert kit.scalar(offered, "select tributary.queue_held('heavy')") == 0
    submit(offered, LIMIT + 1)
    assert len(process(offered).claim()) == LIMIT
