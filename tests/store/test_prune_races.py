"""Pruning beside those who touch the same work: both orders, two connections, one in a transaction."""

from __future__ import annotations

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store.prune_kit import left, sweep

CHAIN = {"a": (), "b": ("a",)}


@pytest.fixture(autouse=True)
def _invariants(connection):
    kit.offer(connection)
    yield
    kit.check_invariants(connection)


@pytest.fixture
def pair(database):
    """Two connections for which it is a month later."""
    with kit.connections(database, 2) as opened:
        for one in opened:
            kit.advance(one, "31 days")
        yield opened


@pytest.fixture(params=["intent", "run"])
def cancelled(request, connection):
    """Return finished work that may be retried, with a key."""
    if request.param == "intent":
        work = kit.intent(connection, idempotency_key="k")
    else:
        work = kit.start(connection, kit.workflow("w", CHAIN), key="k")
    kit.scalar(connection, "select tributary.cancel(%s)", work)
    return work


def retry(connection, work):
    return kit.scalar(connection, "select tributary.retry(%s)", work)


def again(connection, kind, key):
    """Submit the same keyed work again."""
    if kind == "run":
        return kit.start(connection, kit.workflow("w", CHAIN), key=key)
    return kit.intent(connection, idempotency_key=key)


@pytest.mark.one_shard("counts the batches of a sweep, which are of one shard each")
def test_what_is_being_retried_stays_and_nobody_waits(pair, cancelled):
    pruner, operator = pair
    before = left(pruner, cancelled)
    pruner.execute("set lock_timeout = '50ms'")
    with operator.transaction():
        retry(operator, cancelled)
        assert sweep(pruner) == (0, 0, 2)
    assert sweep(pruner) == (0, 0, 2)
    # the retry has added its events
    assert left(pruner, cancelled).keys() == before.keys()


def test_what_is_being_pruned_is_not_found_by_a_retry(pair, connection, cancelled, eventually):
    pruner, operator = pair
    pruner.execute("begin")
    assert sum(sweep(pruner)[:2]) == 1
    refused, _ = kit.together(
        lambda: _refused(operator, cancelled),
        lambda: _commit_when_awaited(pruner, connection, operator, eventually),
    )
    assert refused == "TR003"
    assert left(pruner) == {}


def _commit_when_awaited(pruner, observer, waiter, eventually):
    eventually(lambda: kit.waits(observer, kit.backend(waiter)))
    pruner.execute("commit")


def _refused(connection, work):
    with pytest.raises(psycopg.Error) as refused:
        retry(connection, work)
    return refused.value.sqlstate


def test_a_prune_that_is_rolled_back_has_removed_nothing(pair, cancelled):
    pruner, operator = pair
    before = left(pruner)
    with pruner.transaction(force_rollback=True):
        assert sum(sweep(pruner)[:2]) == 1
    assert left(operator) == before
    assert retry(operator, cancelled) in {"available", "running"}


@pytest.mark.one_shard("counts the batches of a sweep, which are of one shard each")
def test_a_requeue_before_a_prune_keeps_the_work(pair, connection):
    pruner, operator = pair
    process = kit.Process(connection)
    work = kit.intent(connection)
    process.work_off("discarded")
    pruner.execute("set lock_timeout = '50ms'")
    with operator.transaction():
        assert kit.scalar(operator, "select tributary.requeue(%s)", work) == "available"
        assert sweep(pruner) == (0, 0, 2)
    assert kit.row(connection, work)["state"] == "available"


@pytest.mark.one_shard("counts the batches of a sweep, which are of one shard each")
@pytest.mark.parametrize("kind", ["intent", "run"])
def test_a_late_finish_holds_its_work_back_and_is_refused_afterwards(pair, connection, kind):
    pruner, worker = pair
    process = kit.Process(connection)
    work = kit.intent(connection) if kind == "intent" else kit.start(connection, kit.workflow("w", {"a": ()}))
    claimed = process.claim()
    kit.scalar(connection, "select tributary.cancel(%s)", work)
    late = kit.Process(worker)
    late.id = process.id
    token = (claimed[0].run_id, claimed[0].ordinal, claimed[0].seq)
    pruner.execute("set lock_timeout = '50ms'")
    with worker.transaction():
        assert late.finish(claimed) == [token]
        assert sweep(pruner) == (0, 0, 2)
    assert sum(sweep(pruner)[:2]) == 1
    assert late.finish(claimed) == [token]
    assert left(connection) == {}


@pytest.mark.parametrize("kind", ["intent", "run"])
def test_a_key_that_is_being_pruned_is_taken_by_who_waited(pair, connection, kind, eventually):
    pruner, producer = pair
    first = again(connection, kind, "k")
    kit.Process(connection).work_off()
    pruner.execute("begin")
    assert sum(sweep(pruner)[:2]) == 1
    second, _ = kit.together(
        lambda: again(producer, kind, "k"),
        lambda: _commit_when_awaited(pruner, connection, producer, eventually),
    )
    assert second != first
    assert left(connection, first) == {}
    assert left(connection, second)["keys"] == 1


def test_a_run_at_work_is_finished_beside_a_prune_that_never_waits(pair, connection):
    pruner, worker = pair
    old = [kit.start(connection, kit.workflow("w", CHAIN)) for _ in range(20)]
    kit.Process(connection).work_off()
    new = [kit.start(worker, kit.workflow("w", CHAIN)) for _ in range(20)]
    process = kit.Process(worker)
    pruner.execute("set lock_timeout = '100ms'")
    swept, done = kit.together(lambda: sweep(pruner, limit=5), lambda: process.work_off(most=3))
    assert (swept.runs, done) == (20, 40)
    assert left(connection, *old) == {}
    assert left(connection, *new)["runs"] == 20


def test_two_sweeps_at_once_prune_everything_once(pair, connection):
    for _ in range(50):
        kit.start(connection, kit.workflow("w", CHAIN))
        kit.intent(connection)
    kit.Process(connection).work_off()
    swept = kit.together(*(lambda one=one: sweep(one, limit=7) for one in pair))
    rest = sweep(pair[0])
    assert sum(each.runs for each in (*swept, rest)) == 50
    assert sum(each.intents for each in (*swept, rest)) == 50
    assert left(connection) == {}
