"""Every pair of calls at one step: who waits, what both are told, what becomes of the rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest

from tests.conftest import _fresh
from tests.store import interleaving_kit as meeting
from tests.store import protocol_kit as kit
from tests.store import protocol_tables as tables

pytestmark = pytest.mark.one_shard("both calls meet in one shard")


@pytest.fixture(scope="module")
def arena(server, template):
    """Two callers, an observer and a thread, in a database that all pairs share."""
    with (
        _fresh(server, template, one_shard=True) as url,
        kit.connections(url, 3) as opened,
        ThreadPoolExecutor(1) as pool,
    ):
        one, two, observer = opened
        kit.offer(one)
        # with a worker of our own in the fleet, a public claim leaves the dead to it
        one.execute("select tributary.register_worker('w', 'h', 1, '0', 1, '{default}', '{}', 1, '[]')")
        one.execute("update tributary.workers set beat_at = 'infinity'")
        yield (meeting.Caller(one), meeting.Caller(two)), observer, pool


# What becomes of the second call while the first one's transaction is open:
# w  it waits for that, and then meets what it left
# -  nothing of what it looks at is locked: it has its answer at once, as if it had come first
# a  likewise, as if it had come after
# s  it passes over what is locked, and finds nothing
# d  it waits, but has decided before that: whom the step is taken from, that there is a dead letter
TABLE = """
    first      stage      claim finish fail retry snooze heartbeat release rescue cancel requeue prune
    claim      available    s     w     w     w      w       -        w      -      w       -      -
    cancel     available    s     w     w     w      w       -        w      -      w       -      -
    cancel     running      -     w     w     w      w       w        w      w      w       -      -
    finish     running      -     w     w     w      w       w        w      w      w       -      -
    fail       running      -     w     w     w      w       w        w      w      w       -      -
    retry      running      -     w     w     w      w       w        w      w      w       -      -
    snooze     running      -     w     w     w      w       w        w      w      w       -      -
    heartbeat  running      -     w     w     w      w       w        w      d      w       -      -
    release    running      -     w     w     w      w       w        w      w      w       -      -
    rescue     running      -     w     w     w      w       w        w      w      w       -      -
    requeue    discarded    -     w     w     w      w       -        w      -      w       d      s
    prune      discarded    -     w     w     w      w       -        w      -      w       w      s
"""
# a worker's completion of a step writes by its place, without the lock that keeps progress away
STEPS_APART = {("finish", "heartbeat"): "-", ("heartbeat", "finish"): "a"}


def pairs():
    header, *lines = [line.split() for line in TABLE.strip().splitlines()]
    assert tuple(header[2:]) == meeting.CALLS
    for kind in ("intent", "step"):
        for first, stage, *ways in lines:
            for second, usual in zip(meeting.CALLS, ways, strict=True):
                apart = STEPS_APART.get((first, second)) if kind == "step" else None
                way = apart or usual
                # what had its answer before the end of the other one's transaction is none of its matters
                for end in ("commit",) if way in "-a" else ("commit", "rollback"):
                    yield pytest.param(
                        *(kind, stage, first, second, way, end), id=f"{kind}-{stage}-{first}-{second}-{end}"
                    )


@pytest.mark.parametrize(("kind", "stage", "first", "second", "way", "end"), list(pairs()))
def test_two_calls_meet_at_one_step(arena, kind, stage, first, second, way, end):
    callers, observer, pool = arena
    one, two = callers
    scene = meeting.Scene(kind, callers)
    scene.set(stage)
    one.connection.execute("begin")
    try:
        told = scene.call(one, first)
        later = pool.submit(scene.call, two, second)
        waited = meeting.watch(observer, later, two, one)
    finally:
        one.connection.execute(end)
    answer = later.result(60)

    assert waited == (way in "wd")
    if end == "rollback":
        assert told == scene.expect_apart(one, first)
        assert answer == scene.expect_way(two, second, way)
    elif way in "-s":
        assert answer == scene.expect_way(two, second, way)
        assert told == scene.expect(one, first)
    else:
        before = deepcopy(scene.model)
        assert told == scene.expect(one, first)
        assert answer == scene.expect_way(two, second, way, before)
    tables.compare(one.connection, scene.model)
