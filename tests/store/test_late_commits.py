"""Who took a seq before another may commit after it: a claim looks back for a tenth of a second."""

from __future__ import annotations

import pytest

from tests.store import protocol_kit as kit

pytestmark = pytest.mark.one_shard("a watermark is of one shard")

SECOND = 1_000_000  # of seq, which counts microseconds
# a time to come is as good as one just past, and stays within that tenth however long a test is held up
SOON, LATER = 60 * SECOND, 90 * SECOND


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


def ready(connection, after, **options):
    """Submit an intent, give it a seq that is so much after now; return its id and that seq."""
    work = kit.intent(connection, **options)
    seq = kit.scalar(
        connection,
        "update tributary.steps set seq = tributary.clock_us() + %s where run_id = %s returning seq",
        after,
        work,
    )
    return work, seq


def take(process, low, most=10):
    return [item.run_id for item in process.take(["default"], [0], [""], [low], most)]


@pytest.mark.parametrize("foreign", [False, True])
def test_what_committed_late_is_claimed_before_what_the_watermark_knows(connection, process, foreign):
    if foreign:
        kit.offer(connection, "t.other.v1")
    late, seq = ready(connection, SOON)
    known, low = ready(connection, LATER)
    assert seq < low
    assert take(process, low) == [late, known]


@pytest.mark.parametrize("foreign", [False, True])
def test_what_is_older_is_left_to_a_look(connection, process, foreign):
    if foreign:
        kit.offer(connection, "t.other.v1")
    old, _ = ready(connection, -SECOND)
    known, low = ready(connection, SOON)
    assert take(process, low) == [known]
    assert kit.row(connection, old)["state"] == "available"
    assert take(process, 0) == [old]


def test_an_old_watermark_stays_what_it_is(connection, process):
    before, low = ready(connection, -20 * SECOND)
    after, _ = ready(connection, -10 * SECOND)
    assert take(process, low + 1) == [after]
    assert take(process, low) == [before]


def test_a_step_lets_what_committed_late_go_first(connection):
    kit.offer(connection)
    _, late = ready(connection, SOON)
    _, low = ready(connection, LATER)
    found = connection.execute(
        """select waits, befores
           from tributary.find_next_in_line(0::smallint, '{default}', '{0}', '{""}', array[%s]::bigint[])""",
        (low,),
    ).fetchone()
    assert found == (True, [late])
