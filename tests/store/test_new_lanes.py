"""What a process that knows lanes is told of, beside what they all are: no lane is missed, nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store import protocol_kit as kit
from tributary_daemon.store import leases

pytestmark = pytest.mark.one_shard("lanes are of one shard")

SUBMIT = f"""
    select count(tributary.submit_intent('{kit.NAME}', '{{}}', queue => %s, priority => %s, tenant => %s))
    from generate_series(1, %s)
"""
QUEUES = ["a", "b"]
lanes = st.tuples(
    st.sampled_from([*QUEUES, "other"]),
    st.sampled_from([-32000, -5, 0, 1, 32000]),
    st.sampled_from(["", "A", "a", "b", "é"]),
)


@pytest.fixture
def offered(connection):
    kit.offer(connection)
    return connection


def found(connection, known):
    """Return lane -> lowest seq for who knows these lanes, with their watermarks."""
    columns = [[lane[at] for lane in known] for at in range(3)]
    rows = connection.execute(leases._NEWS, (0, QUEUES, *columns, list(known.values()))).fetchall()
    assert len({row[:3] for row in rows}) == len(rows)
    return {row[:3]: row[3] for row in rows}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    work=st.dictionaries(lanes, st.integers(1, 3), max_size=25),
    known=st.dictionaries(lanes, st.sampled_from([0, 1, None]), max_size=12),
)
def test_of_lanes_that_are_known_what_is_asked_for_and_of_all_others_the_first(offered, work, known):
    offered.execute("truncate tributary.steps")
    for (queue, priority, tenant), count in work.items():
        offered.execute(SUBMIT, (queue, priority, tenant, count))
    seqs = {}
    for queue, priority, tenant, seq in offered.execute(
        "select queue, priority, tenant_id, seq from tributary.steps order by seq"
    ).fetchall():
        seqs.setdefault((queue, priority, tenant), []).append(seq)
    marks = {
        lane: None if passed is None else seqs.get(lane, [0])[0] + passed
        for lane, passed in known.items()
        if lane[0] in QUEUES
    }
    expected = {}
    for lane, has in seqs.items():
        low = marks.get(lane, 0)
        beyond = [] if low is None else [seq for seq in has if seq >= low]
        if lane[0] in QUEUES and beyond:
            expected[lane] = beyond[0]
    assert found(offered, marks) == expected


def test_who_knows_nothing_is_told_of_all(offered):
    for tenant in ("x", "y"):
        kit.intent(offered, queue="a", tenant=tenant)
    assert set(found(offered, {})) == {("a", 0, "x"), ("a", 0, "y")}


def test_of_tenants_without_number_four_thousand_are_told_of_at_once(offered):
    offered.execute(
        f"""select count(tributary.submit_intent('{kit.NAME}', '{{}}', queue => 'a', tenant => 't' || n))
            from generate_series(1, 4100) as n"""
    )
    told = found(offered, {})
    assert len(told) == 4_000
    # who has learnt of them is told of the others
    assert len(found(offered, dict.fromkeys(told))) == 100
