"""Traps that only many rows show: guards against plans that collapse, not timed benches."""

from __future__ import annotations

import re
import statistics
import time

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.store import membership

pytestmark = pytest.mark.one_shard("plans and bounds of claims over one shard")

OTHER = "t.other.v1"
FILL = """
    with made as (
        insert into tributary.steps (run_id, seq, created_at, ordinal, unmet, kind, state, shard, name, queue)
        select tributary.new_id(), tributary.clock_us() - %(count)s + n, clock_timestamp(), 0,
               case when n %% 100 < %(blocked)s then 1 else 0 end, 'intent',
               case when n %% 100 < %(blocked)s then 'blocked' else 'available' end::tributary.step_state,
               0, %(name)s, 'default'
        from generate_series(1, %(count)s) as n
        returning run_id
    )
    insert into tributary.payloads (run_id, ordinal, shard, payload) select run_id, 0, 0, '{"n": 1}' from made
"""


@pytest.fixture
def never_analyzed(connection):
    """Nobody collects statistics of the tables at work."""
    for table in ("steps", "runs", "payloads", "edges"):
        connection.execute(f"alter table tributary.{table} set (autovacuum_enabled = off)")
    kit.offer(connection)
    kit.offer(connection, OTHER)


def fill(connection, count, *, name=kit.NAME, blocked=0):
    connection.execute(FILL, {"count": count, "name": name, "blocked": blocked})


class Drainer:
    """Claims and finishes with a watermark, as a worker does."""

    def __init__(self, connection):
        self.process = kit.Process(connection)
        self.low = 0

    def batch(self, most=500):
        """Claim and finish one batch; return (rows, seconds)."""
        # as a supervisor does: a slow machine takes longer than a lease to fill a table
        self.process.beat()
        began = time.perf_counter()
        claimed = self.process.take(["default"], [0], [""], [self.low], most)
        assert self.process.finish(claimed) == []
        seconds = time.perf_counter() - began
        self.low = claimed[-1].seq if claimed else 0
        return len(claimed), seconds


def assert_same_rate(unknown, known):
    """Compare generously: a collapsed plan takes seconds for a batch."""
    rate = max(statistics.median(seconds for _, seconds in known), 0.01)
    assert statistics.median(seconds for _, seconds in unknown) < 20 * rate
    assert unknown[9][1] < 20 * rate


@pytest.mark.usefixtures("never_analyzed")
def test_many_rows_in_a_polled_never_analyzed_database_drain_at_full_rate(connection):
    drainer = Drainer(connection)
    for _ in range(20):
        # plans made now know empty tables
        assert drainer.batch()[0] == 0
    fill(connection, 200_000)
    unknown = [drainer.batch() for _ in range(20)]
    assert {rows for rows, _ in unknown} == {500}
    connection.execute("analyze tributary.steps, tributary.payloads")
    assert_same_rate(unknown, [drainer.batch() for _ in range(20)])


@pytest.mark.usefixtures("never_analyzed")
def test_chains_in_a_polled_never_analyzed_database_drain_at_full_rate(connection):
    chain = {f"s{number}": (f"s{number - 1}",) if number else () for number in range(10)}
    spec = kit.workflow("w.chain.v1", chain)
    revision = kit.save(connection, spec)
    drainer = Drainer(connection)
    for _ in range(20):
        drainer.batch()
    connection.execute(
        """select count(r.run_id) from generate_series(1, 1000) as n cross join lateral tributary.submit_run(
               %s, 'w', '{}', null, null, null, null, jsonb_build_object('n', n),
               '', null, null, null) as r""",
        (revision,),
    )
    unknown = [drainer.batch() for _ in range(10)]
    assert sum(rows for rows, _ in unknown) == 5000
    connection.execute("analyze")
    known = [drainer.batch() for _ in range(10)]
    assert sum(rows for rows, _ in known) == 5000
    assert_same_rate(unknown, known)
    assert kit.scalar(connection, "select count(*) from tributary.runs where state = 'completed'") == 1000


def buffers(connection, statement, *params):
    """Return how many pages a statement touched, nested statements included."""
    rows = connection.execute(f"explain (analyze, buffers, timing off) {statement}", params).fetchall()
    found = re.findall(r"^\s*Buffers: (.*)$", "\n".join(row[0] for row in rows), re.MULTILINE)[0]
    return sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", found))


CLAIM = """select * from tributary.claim_leases(0::smallint, %s, '{default}', '{0}', array[''],
                                               array[%s]::bigint[], array['t.work.v1'], 100)"""


@pytest.mark.usefixtures("never_analyzed")
def test_a_claim_costs_the_same_over_a_long_backlog(connection):
    process = kit.Process(connection)
    fill(connection, 1_000, blocked=90)
    few = buffers(connection, CLAIM, process.id, 0)
    fill(connection, 199_000, blocked=90)
    # as a supervisor does: a slow machine takes longer than a lease to fill a table
    process.beat()
    many = buffers(connection, CLAIM, process.id, 0)
    assert kit.scalar(connection, "select count(*) from tributary.steps where state = 'running'") == 200
    assert many < 2 * few + 200
    connection.execute("analyze tributary.steps")
    assert buffers(connection, CLAIM, process.id, 0) < 2 * few + 200
    lanes = buffers(connection, "select * from tributary.find_lanes(0::smallint, '{default}')")
    assert lanes < 500


@pytest.mark.usefixtures("never_analyzed")
def test_foreign_names_at_the_head_of_a_lane_cost_a_bound_and_hide_nothing(connection):
    fill(connection, 300_000, name=OTHER)
    own = [kit.intent(connection) for _ in range(3)]
    process = kit.Process(connection)
    pages = kit.scalar(connection, "select pg_relation_size('tributary.steps') / 8192")
    head = connection.execute(
        "select first_seq from tributary.find_lanes(0::smallint, '{default}')"
    ).fetchone()[0]
    looked = buffers(connection, CLAIM, process.id, head)
    # 20,000 rows of 300,000, each looked at by its tuple; the heap as a whole is far larger
    assert looked < 45_000 < pages * 20
    process.beat()
    assert process.claim() == []

    low, windows = head, 0
    claimed = []
    while not claimed:
        low = kit.scalar(
            connection, "select tributary.window_end(0::smallint, 'default', 0::smallint, '', %s)", low
        )
        windows += 1
        assert low is not None
        process.beat()
        claimed = process.take(["default"], [0], [""], [low], 100)
    assert windows in {14, 15}
    assert [item.run_id for item in claimed] == own
    assert (
        kit.scalar(
            connection, "select tributary.window_end(0::smallint, 'default', 0::smallint, '', %s)", low
        )
        is None
    )


@pytest.mark.usefixtures("never_analyzed")
def test_the_public_claim_finds_its_work_behind_foreign_names(connection, eventually):
    fill(connection, 60_000, name=OTHER)
    own = kit.intent(connection)
    process = kit.Process(connection, runtime="other")
    connection.execute("update tributary.registry set runtime = 'other' where name = %s", (kit.NAME,))
    claim = "select run_id::text from tributary.claim(%s, '{default}', '{t.work.v1}')"
    assert eventually(lambda: connection.execute(claim, (process.id,)).fetchall(), timeout=30) == [(own,)]


@pytest.mark.usefixtures("never_analyzed")
def test_lanes_are_found_by_probes(connection):
    fill(connection, 50_000)
    connection.execute(
        """select tributary.submit_intent('t.work.v1', priority => n % 5, tenant => 't' || n % 7)
           from generate_series(1, 100) as n"""
    )
    lanes = connection.execute(
        "select queue, priority, tenant_id from tributary.find_lanes(0::smallint, '{default, none}')"
    )
    found = lanes.fetchall()
    assert len(found) == len(set(found)) == 36
    assert [priority for _, priority, _ in found] == sorted((lane[1] for lane in found), reverse=True)
    assert buffers(connection, "select * from tributary.find_lanes(0::smallint, '{default, none}')") < 1000
    assert (
        len(connection.execute("select * from tributary.find_lanes(0::smallint, '{default}', 10)").fetchall())
        == 10
    )


@pytest.fixture
def analyzed_too_early(connection, never_analyzed):
    """Statistics are of the time in which there was one intent and one run: any index seems good enough."""
    kit.scalar(connection, "select tributary.submit_intent(%s)::text", kit.NAME)
    kit.start(connection, kit.workflow("w.first.v1", {"only": ()}))
    kit.Process(connection).claim()
    connection.execute("vacuum analyze")
    # as whoever calls these functions has it
    connection.execute("set plan_cache_mode to force_generic_plan")


@pytest.mark.parametrize(
    "statement",
    [
        "select * from tributary.find_lanes(0::smallint, '{default, none}')",
        "select * from tributary.survey_lanes(0::smallint, '{default, none}', 64)",
        "select * from tributary.survey_shards('{0}', '{default, none}')",
        "select * from tributary.find_new_lanes(0::smallint, '{none,default}', '{none}','{0}','{a}','{0}')",
        "select * from tributary.find_next_in_line(0::smallint, '{none,default}','{0,0}','{a,\"\"}','{0,0}')",
        "select * from tributary.promote(0::smallint, 500)",
        "select * from tributary.attend(1, 5, '10 seconds', null, '1 minute')",
    ],
)
@pytest.mark.usefixtures("analyzed_too_early")
def test_looks_at_a_table_that_was_analyzed_while_it_was_nearly_empty(connection, statement):
    # a plan is made now, and kept: the first call of this session
    connection.execute(statement)
    fill(connection, 50_000, blocked=10)
    # what others do to the catalogs meanwhile may have this session read them again
    connection.execute(statement)
    assert buffers(connection, statement) < 300


@pytest.mark.usefixtures("analyzed_too_early")
def test_claims_from_a_table_that_was_analyzed_while_it_was_nearly_empty(connection):
    process = kit.Process(connection)
    assert process.exchange(process.claim(1)) == ([], [], [])
    fill(connection, 50_000, blocked=10)
    first = process.claim(100)
    low = first[0].seq
    claim = f"""select * from tributary.claim_leases(
        0::smallint, {process.id}, '{{default}}', '{{0}}', '{{""}}', '{{{low}}}', '{{{kit.NAME}}}', 100)"""
    assert buffers(connection, claim) < 3_000
    assert len(process.exchange(first)[2]) == 100


def test_what_waited_for_a_handler_is_released_at_the_same_pace_however_much_there_is(connection):
    """A planner that knows of 60,000 reads them all for each thousand, if it is let."""
    connection.execute("select tributary.submit_intent('t.unknown.v1', '1') from generate_series(1, 60000)")
    connection.execute("analyze tributary.steps, tributary.payloads, tributary.registry")
    kit.scalar(connection, "select tributary.register_handlers('python', '[{\"name\": \"t.unknown.v1\"}]')")
    connection.execute("select tributary.release_waiting(0::smallint, 1000)")
    for _ in range(3):
        assert buffers(connection, "select tributary.release_waiting(0::smallint, 1000)") < 30_000
    waiting = "select count(*) from tributary.steps where reason = 'no_handler'"
    assert kit.scalar(connection, waiting) == 56_000
    assert membership.release_waiting(connection, 1, within=0) == 1000, "one batch at least"
    kit.scalar(connection, "select tributary.register_process('elsewhere', 'other', array['t.unknown.v1'])")
    assert kit.scalar(connection, waiting) == 45_000, "who joins does not move all in one transaction"
    assert membership.release_waiting(connection, 1) == 45_000


@pytest.mark.usefixtures("never_analyzed")
def test_housekeeping_of_a_large_table_takes_bounded_steps(connection):
    fill(connection, 100_000)
    # the first call reads the catalogs
    connection.execute("select tributary.promote(0::smallint, 500)")
    assert buffers(connection, "select tributary.promote(0::smallint, 500)") < 200
    connection.execute("select tributary.submit_intent('t.unknown.v1') from generate_series(1, 2000)")
    kit.scalar(connection, "select tributary.register_handlers('python', '[{\"name\": \"t.unknown.v1\"}]')")
    assert buffers(connection, "select tributary.release_waiting(0::smallint, 1000)") < 60_000
    process = kit.Process(connection)
    process.claim(500)
    process.fall_silent()
    assert buffers(connection, "select tributary.rescue(0::smallint, interval '10 seconds', 500)") < 60_000
    assert kit.scalar(connection, "select count(*) from tributary.steps where reason = 'crashed'") == 500


def test_a_survey_of_news_passes_by_nothing_that_was_claimed_from_a_known_lane(connection):
    fill(connection, 50_000, blocked=10)
    low = kit.scalar(
        connection,
        "select seq from tributary.steps where state = 'available' order by seq offset 40000 limit 1",
    )
    connection.execute(
        """update tributary.steps set state = 'completed', finished_at = now()
           where state = 'available' and seq < %s""",
        (low,),
    )
    kit.offer(connection)
    kit.intent(connection, tenant="late")
    news = f"""select * from tributary.survey_news(
        0::smallint, '{{default}}', '{{default}}', '{{0}}', '{{""}}', '{{{low}}}')"""
    connection.execute(news)
    assert [row[2] for row in connection.execute(news)] == ["late", ""]
    assert buffers(connection, news) < 100
