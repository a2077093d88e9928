"""Limits of tenants over all workers and queues: never exceeded, never leaked, no burden to others."""

from __future__ import annotations

import random
import threading

import psycopg
import pytest

from tests.store import protocol_kit as kit

# limits hold over shards by what test_queue_limits shows of queues: tenants are keys beside these
pytestmark = pytest.mark.one_shard("claims from lanes of shard 0")
LIMIT = 3
RUNNING = """
    select count(*) from tributary.steps
    where state = 'running' and tenant_id = 'acme' and queue not like '~%'
"""


def limit(connection, name="acme", concurrency=None, rate=None):
    """Set limits of a tenant; return what they are then."""
    return connection.execute(
        "select max_running, max_rate from tributary.set_tenant(%s, %s, %s)", (name, concurrency, rate)
    ).fetchone()


def submit(connection, count, tenant="acme", **options):
    return [kit.intent(connection, tenant=tenant, **options) for _ in range(count)]


def opens(connection, tenant="acme"):
    return kit.scalar(connection, "select tributary.queue_opens('tenant:' || %s)", tenant)


def take(process, most=100, *, tenants=("acme", "beta", ""), queues=("default", "heavy")):
    """Claim over the lanes of these tenants in these queues."""
    lanes = [(queue, tenant) for tenant in tenants for queue in queues]
    return process.take(
        [queue for queue, _ in lanes],
        [0] * len(lanes),
        [tenant for _, tenant in lanes],
        [0] * len(lanes),
        most,
    )


@pytest.fixture
def offered(connection):
    kit.offer(connection)
    return connection


@pytest.fixture
def process(offered):
    return kit.Process(offered, queues=("default", "heavy"))


def test_no_more_run_at_once_than_the_limit_says_over_all_queues_and_others_go_on(offered, process):
    limit(offered, concurrency=LIMIT)
    submit(offered, 4)
    submit(offered, 4, queue="heavy")
    others = submit(offered, 3, tenant="beta") + submit(offered, 2, tenant="")
    other = kit.Process(offered, queues=("default", "heavy"))
    first = take(process, 2)
    second = take(other)
    assert len(first) == 2
    assert {item.run_id for item in second} >= set(others)
    assert kit.scalar(offered, RUNNING) == LIMIT
    assert take(other) == []
    assert (opens(offered), opens(offered, "beta")) == (None, 0)
    process.finish(first[:1])
    assert opens(offered) == 0
    assert len(take(other)) == 1
    assert kit.scalar(offered, RUNNING) == LIMIT


@pytest.mark.parametrize("outcome", ["completed", "discarded", "retry", "released", "snoozed"])
def test_whatever_an_attempt_leads_to_frees_its_slot(offered, process, outcome):
    limit(offered, concurrency=1)
    submit(offered, 2)
    (held,) = take(process)
    process.finish([held], outcome, delay=600)
    assert len(take(process)) == 1
    assert take(process) == []


def test_a_cancel_and_a_rescue_free_slots(offered, process):
    limit(offered, concurrency=2)
    submit(offered, 4)
    other = kit.Process(offered, queues=("default",))
    first, _ = take(process)
    offered.execute("select tributary.cancel(%s)", (first.run_id,))
    assert len(take(other)) == 1
    process.fall_silent()
    assert take(other) == []
    assert kit.rescue(offered) == 1
    assert len(take(other)) == 1
    assert kit.scalar(offered, RUNNING) == 2


def test_the_limit_of_the_queue_and_that_of_the_tenant_hold_both(offered, process):
    limit(offered, concurrency=3)
    offered.execute("select tributary.set_queue('heavy', 2)")
    submit(offered, 5, queue="heavy")
    submit(offered, 5)
    submit(offered, 5, tenant="beta", queue="heavy")
    taken = take(process, queues=("heavy", "default"))
    assert [item.queue for item in taken].count("heavy") == 2
    assert kit.scalar(offered, RUNNING) == 3
    # one slot of the queue and of the tenant is free again: whoever takes it takes both
    process.finish([item for item in taken if item.queue == "heavy"][:1])
    again = take(process, tenants=("beta", "acme"))
    assert sorted(item.queue for item in again) == ["default", "heavy"]


def test_the_engines_own_steps_are_held_by_no_limit(offered):
    limit(offered, concurrency=1)
    process = kit.Process(offered)
    spec = kit.workflow("t.flow.v1", {"one": ()}, result="${{ steps.one.result }}")
    revision = kit.save(offered, spec)
    kit.scalar(offered, "select tributary.register_workflow('t.flow.v1', %s, null)", revision)
    run = kit.scalar(offered, "select tributary.submit_workflow('t.flow.v1', tenant => 'acme')")
    process.finish(take(process, queues=("default",)))
    submit(offered, 1)
    assert len(take(process, queues=("default",))) == 1, "the tenant is full"
    closing = process.take(["~closing"], [32000], ["acme"], [0], 10)
    assert [item.name for item in closing] == [kit.CLOSING]
    process.finish(closing)
    assert kit.run_row(offered, run)[0] == "completed"


def test_what_runs_already_counts_when_the_limit_comes(offered, process):
    submit(offered, 5)
    before = take(process, 2)
    limit(offered, concurrency=LIMIT)
    assert len(take(process)) == 1
    process.finish(before)
    assert len(take(process)) == 2
    assert limit(offered, concurrency=0) == (None, None)
    submit(offered, 5)
    assert len(take(process)) == 5


def test_a_claim_that_began_before_the_limit_is_counted_by_the_next(offered, database, process):
    submit(offered, 5)
    with psycopg.connect(database) as late:
        claimed = kit.Process(late, queues=("default",))
        late.commit()
        take(claimed, 2)
        limit(offered, concurrency=2)
        late.commit()
    assert take(process) == []
    assert kit.scalar(offered, RUNNING) == 2


def test_a_busy_counter_leaves_its_tenant_out_and_nobody_waits(offered, database, process):
    limit(offered, concurrency=5)
    submit(offered, 2)
    (other,) = submit(offered, 1, tenant="beta")
    with psycopg.connect(database) as claiming:
        claiming.execute("select tributary.queue_room('tenant:acme', 1)")
        assert [item.run_id for item in take(process)] == [other]
    assert len(take(process)) == 2


def test_a_rate_lets_a_seconds_worth_start_and_then_what_time_brings(offered, process):
    offered.execute("select set_config('tributary.fake_now', '2031-01-01T00:00:00Z', false)")
    process.beat()
    assert limit(offered, rate="4/s") == (None, "4/s")
    submit(offered, 20)
    submit(offered, 10, queue="heavy")
    assert len(take(process)) == 4
    assert take(process) == []
    assert 0 < opens(offered) <= 0.25
    kit.advance(offered, "0.5 s")
    process.beat()
    assert len(take(process)) == 2


def test_limits_are_changed_one_by_one_and_nothing_is_left_of_them(offered):
    assert limit(offered, concurrency=4, rate="5000/h") == (4, "5000/h")
    assert limit(offered, concurrency=2) == (2, "5000/h")
    assert limit(offered, rate="none") == (2, None)
    assert limit(offered, rate="1/90s") == (2, "1/90s")
    assert limit(offered) == (2, "1/90s")
    assert limit(offered, concurrency=0, rate="none") == (None, None)
    assert limit(offered, "") == (None, None)
    for table in ("tenants", "queue_counters", "queue_slots"):
        assert kit.scalar(offered, f"select count(*) from tributary.{table}") == 0


@pytest.mark.parametrize(
    ("name", "concurrency", "rate"),
    [("acme", -1, None), ("acme", None, "fast"), ("acme", None, "0/s"), ("a\nb", 1, None)],
)
def test_what_cannot_be_a_limit_is_refused(offered, name, concurrency, rate):
    with pytest.raises(psycopg.Error) as caught:
        limit(offered, name, concurrency, rate)
    assert caught.value.sqlstate == "TR001"
    assert caught.value.diag.message_hint


def test_a_survey_tells_of_limited_tenants_that_have_work(offered, process):
    submit(offered, 3)
    submit(offered, 1, tenant="beta")
    survey = (
        "select queue, tenant_id, limited, opens_in"
        " from tributary.survey_lanes(0::smallint, '{default,heavy}', 100) order by 1, 2"
    )
    lanes = [("default", "acme", False, 0), ("default", "beta", False, 0)]
    assert offered.execute(survey).fetchall() == lanes
    limit(offered, concurrency=1)
    limit(offered, "idle", concurrency=1)
    assert offered.execute(survey).fetchall() == [*lanes, ("tenant:acme", None, True, 0)]
    take(process, 1)
    assert offered.execute(survey).fetchall()[-1] == ("tenant:acme", None, True, None)


def test_a_survey_of_news_tells_of_limited_tenants_whose_lanes_are_known_though_they_have_nothing(offered):
    limit(offered, concurrency=1)
    limit(offered, "idle", concurrency=1)
    news = """select queue, limited, opens_in from tributary.survey_news(
        0::smallint, '{default}', '{default,default}', '{0,0}', '{acme,beta}', '{NULL,NULL}')"""
    assert offered.execute(news).fetchall() == [("tenant:acme", True, 0)]


def test_who_is_full_hides_nobody_behind_priorities(offered, process):
    limit(offered, concurrency=1)
    offered.execute(
        "insert into tributary.steps"
        " (run_id, seq, created_at, ordinal, kind, state, shard, priority, name, queue, tenant_id)"
        " select tributary.new_id(), n, now(), 0, 'intent', 'available', 0, n, 't.work.v1', 'default', 'acme'"
        " from generate_series(1, 1100) as n"
    )
    (single,) = submit(offered, 1, tenant="beta")
    for survey in (
        "survey_lanes(0::smallint, '{default}', 1000)",
        "find_lanes(0::smallint, '{default}', 300)",
    ):
        found = offered.execute(
            f"select tenant_id from tributary.{survey} where tenant_id = 'beta'"
        ).fetchall()
        assert found == [("beta",)]
    offered.execute("delete from tributary.steps where priority > 200")
    found = offered.execute("select tenant_id from tributary.survey_shards('{0}', '{default}')").fetchall()
    assert ("beta",) in found
    got = offered.execute(
        "select run_id::text from tributary.claim(%s, '{default}', '{t.work.v1}', 10)", (process.id,)
    ).fetchall()
    assert (single,) in got
    assert len(got) == 2


def test_who_frees_a_slot_wakes_those_that_wait_for_that_tenant(offered, database, process):
    limit(offered, concurrency=1)
    submit(offered, 1)
    submit(offered, 1, queue="heavy")
    offered.execute(
        "insert into tributary.workers (worker_id, started_at, beat_at, pid, concurrency, protocol, name,"
        " host, version, queues, names)"
        " values (1, now(), now(), 1, 1, 1, 'w', 'h', '1', '{heavy:2,default}', '{}')"
    )
    held = take(process, queues=("default",))
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("listen tributary_wake")
        offered.execute("select tributary.wake_freed('{tenant:acme}')")
        assert [note.payload for note in listener.notifies(timeout=0.2)] == [], "it is full"
        process.finish(held)
        offered.execute("select tributary.wake_freed('{tenant:acme}')")
        assert [note.payload for note in listener.notifies(timeout=5, stop_after=1)] == ["heavy"]


def test_a_hammer_of_claims_never_exceeds_a_limit_and_uses_all_of_it(offered, database):
    """Eight connections that claim, finish, release and fall silent; two tenants, two queues."""
    limit(offered, concurrency=LIMIT)
    submit(offered, 120)
    submit(offered, 120, queue="heavy")
    submit(offered, 60, tenant="beta")
    over, most, stop = [], [], threading.Event()

    def watch():
        with psycopg.connect(database, autocommit=True) as connection:
            while not stop.is_set():
                running = kit.scalar(connection, RUNNING)
                most.append(running)
                if running > LIMIT:
                    over.append(running)

    def work(seed):
        chance = random.Random(seed)
        with psycopg.connect(database, autocommit=True) as connection:
            mine = kit.Process(connection, queues=("default", "heavy"))
            for _ in range(25):
                mine.beat()
                claimed = take(mine, chance.randint(1, 4))
                for item in claimed:
                    mine.finish(
                        [item], chance.choice(["completed", "completed", "retry", "released"]), delay=0
                    )

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        kit.together(*(lambda seed=seed: work(seed) for seed in range(8)))
    finally:
        stop.set()
        watcher.join()
    assert over == []
    assert max(most) == LIMIT
