# ruff: noqa: E501 - statements of SQL
"""Pages of runs and intents: together they are what one look at everything gives, whatever index each filter goes by."""

from __future__ import annotations

import random
import threading
from datetime import timedelta

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.store import db, lists
from tributary_daemon.store.lists import Filter
from tributary_daemon.store.migrations import Migrator

BEFORE = "20261124000002_fleet_commands"
# ids grow with n, a second apart and in the past; four ids share each moment, as runs and intents do
SETUP = """
    create function public.made(n integer, kind integer) returns uuid language sql as $$
        select (lpad(to_hex(1790000000000 + n * 1000), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
                || '8' || lpad(to_hex(n), 15, '0'))::uuid
    $$;
    create function public.moment(n integer) returns timestamptz language sql as $$
        select to_timestamp(1790000000 + n)
    $$
"""
INTENTS = """
    with drawn as (
        select n, (array['completed', 'completed', 'completed', 'available', 'running', 'scheduled', 'discarded',
                         'cancelled'])[1 + floor(random() * 8)::integer]::tributary.step_state as state
        from generate_series(1, 1500) as n
    )
    insert into tributary.steps (run_id, seq, process_id, created_at, run_at, claimed_at, finished_at, ordinal, kind,
                                 state, shard, tenant_id, name)
    select made(n, 1), n, case when state = 'running' then %(process)s end, moment(n),
           case when state = 'scheduled' then moment(n) + interval '9 years' end,
           case when state in ('running', 'completed', 'discarded') then moment(n) end,
           case when state in ('completed', 'discarded', 'cancelled') then moment(n) end, 0, 'intent', state, 0,
           case when n %% 10 = 0 then 'acme' else '' end, case when n %% 97 = 0 then %(rare)s else %(name)s end
    from drawn
"""
UNKNOWN = """
    insert into tributary.steps (run_id, seq, created_at, finished_at, ordinal, kind, state, shard, name, reason)
    select made(n, 2), n, moment(n), case when n %% 3 = 0 then moment(n) end, 0, 'intent',
           case when n %% 3 = 0 then 'cancelled' else 'waiting' end::tributary.step_state, 0, 't.unknown.v1',
           case when n %% 3 <> 0 then 'no_handler' end
    from generate_series(1, 1500, 50) as n
"""
RUNS = """
    with drawn as (
        select n, (array['completed', 'completed', 'running', 'paused', 'failed', 'cancelled'])
                      [1 + floor(random() * 6)::integer]::tributary.run_state as state
        from generate_series(1, 1500, 3) as n
    ), made as (
        insert into tributary.runs (run_id, root_id, revision_id, created_at, finished_at, shard, remaining, next_ordinal,
                                    state, tenant_id, name, labels)
        select made(n, 3), made(n, 3), made(0, 9), moment(n), case when state not in ('running', 'paused') then moment(n) end,
               0, case when state = 'running' then 3 else 2 end, 2 + case when n %% 300 = 1 then 700 else 2 end, state,
               case when n %% 10 = 1 then 'acme' else '' end, case when n %% 31 = 0 then 'w.rare.v1' else 'w.often.v1' end,
               case when n %% 41 = 0 then '{"team": "few"}' else '{"team": "many"}' end::jsonb
        from drawn
        returning run_id, created_at, state, next_ordinal - 2 as steps
    )
    insert into tributary.steps (run_id, seq, process_id, created_at, run_at, claimed_at, finished_at, ordinal, kind,
                                 state, shard, name, step_id)
    select run_id, o, case when kind = 'running' then %(process)s end, created_at,
           case when kind = 'scheduled' then created_at + interval '9 years' end,
           case when kind in ('running', 'completed') then created_at end,
           case when kind = 'completed' then created_at end, o, 'step', kind::tributary.step_state, 0, %(name)s, 's' || o
    from (
        select m.*, o, case when m.state <> 'running' then 'completed'
                            when o > 1 then 'blocked'
                            else (array['available', 'running', 'scheduled'])[1 + floor(random() * 3)::integer] end as kind
        from made as m, generate_series(1, m.steps) as o
    ) as drawn
"""
EVERYTHING = """
    select r.run_id::text, 'run', r.name, tributary.run_state_now(r.shard, r.run_id, r.state, r.run_at), r.tenant_id, r.labels,
           r.created_at
    from tributary.runs as r
    union all
    select s.run_id::text, 'intent', s.name, s.state::text, s.tenant_id, '{}', s.created_at
    from tributary.steps as s where s.kind = 'intent'
    order by 1 desc
"""
RARE = "t.rare.v1"
WHOLE = lists.LOOKED_AT
STATES = (
    "blocked", "scheduled", "available", "running", "waiting", "paused", "completed", "skipped", "cancelled",
    "discarded", "failed",
)  # fmt: skip
FILTERS = {
    "everything": {},
    **{state: {"state": state} for state in STATES},
    **{f"runs {state}": {"state": state, "kind": "run"} for state in STATES},
    **{f"intents {state}": {"state": state, "kind": "intent"} for state in STATES},
    "a rare name": {"name": RARE},
    "a name of runs": {"name": "w.rare.v1"},
    "a name that nobody offers": {"name": "t.unknown.v1"},
    "a name that nothing has": {"name": "t.nothing.v1"},
    "a name and a state": {"name": RARE, "state": "discarded"},
    "a label of few": {"labels": {"team": "few"}},
    "a label and a state": {"labels": {"team": "few"}, "state": "failed"},
    "a label of none": {"labels": {"team": "none"}},
    "a tenant": {"tenant": "acme"},
    "a tenant and a state": {"tenant": "acme", "state": "running"},
    "a tenant of none": {"tenant": "nobody"},
}


@pytest.fixture
def filled(connection):
    kit.offer(connection, kit.NAME, RARE)
    values = {"process": kit.Process(connection).id, "name": kit.NAME, "rare": RARE}
    connection.execute(SETUP)
    connection.execute("select setseed(0.5)")
    with connection.transaction():
        connection.execute("set local search_path to public")
        for statement in (INTENTS, UNKNOWN, RUNS):
            connection.execute(statement, values)
    return connection


def ask(connection, **wanted):
    return kit.answer(connection, lists.page(Filter(**wanted)))


def pages(connection, **wanted):
    """Follow the cursors to the end and return the pages."""
    after, found = None, []
    while True:
        rows, after = ask(connection, after=after, **wanted)
        found.append([str(row.work_id) for row in rows])
        if after is None:
            return found


def expected(connection, *, state=None, kind=None, name=None, labels=None, tenant=None):
    return [
        row[0]
        for row in connection.execute(EVERYTHING)
        if (kind is None or row[1] == kind)
        and (name is None or row[2] == name)
        and (state is None or row[3] == state)
        and (tenant is None or row[4] == tenant)
        and (not labels or (row[1] == "run" and labels.items() <= row[5].items()))
    ]


@pytest.mark.one_shard("its windows are of one shard: each has its share of them")
@pytest.mark.parametrize(
    ("window", "limit"), [(60, 7), (60, 50), (1_700, 50), (WHOLE, 7), (WHOLE, 50), (WHOLE, 10_000)]
)
def test_pages_together_are_what_fits_newest_first(filled, monkeypatch, window, limit):
    monkeypatch.setattr(lists, "LOOKED_AT", window)
    for what, wanted in FILTERS.items():
        found = pages(filled, limit=limit, **wanted)
        assert [work for page in found for work in page] == expected(filled, **wanted), what
        assert all(len(page) <= limit for page in found), what
        if window == WHOLE:
            # nothing is short but the last
            assert all(len(page) == limit for page in found[:-1]), what


def test_a_page_whose_window_is_full_says_from_where_to_go_on(filled, monkeypatch):
    monkeypatch.setattr(lists, "LOOKED_AT", 100)
    rows, after = ask(filled, name=RARE, kind="intent")
    assert len(rows) <= 2
    assert after is not None
    assert all(str(row.work_id) >= after for row in rows)


@pytest.mark.one_shard("its windows are of one shard: each has its share of them")
def test_a_name_that_was_never_offered_is_not_looked_for_in_history(filled, monkeypatch):
    monkeypatch.setattr(lists, "LOOKED_AT", 900)
    assert ask(filled, name="t.nothing.v1", kind="intent") == ([], None)
    rows, after = ask(filled, name="t.unknown.v1", state="cancelled", kind="intent")
    assert (len(rows), after) == (10, None)


@pytest.mark.one_shard("its windows are of one shard: each has its share of them")
def test_wide_runs_do_not_fill_the_window(filled, monkeypatch):
    monkeypatch.setattr(lists, "LOOKED_AT", 2_000)
    filled.execute("delete from tributary.steps where kind = 'intent'")
    # 3,500 steps of five runs lie between: only the beginning of each is looked at
    assert filled.execute("select count(*) from tributary.steps").fetchone()[0] > 4_000
    assert len(pages(filled, kind="intent", limit=50)) < 4
    assert [len(page) for page in pages(filled, limit=100)] == [100] * 5 + [0]


@pytest.mark.one_shard("all its rows are in one shard, whose share of the window they fill")
def test_since_ends_the_search_and_is_judged_by_the_time_of_the_row(filled):
    # made by somebody whose clock is behind, at a time that is asked for
    filled.execute(
        "update tributary.steps set created_at = public.moment(1450) where run_id = public.made(77, 1)"
    )
    at = filled.execute("select public.moment(1400)").fetchone()[0]
    right = [row[0] for row in filled.execute(EVERYTHING) if row[6] >= at]
    found, after = ask(filled, since=at, limit=10_000)
    assert "00000000004d" in right[-1]
    assert [str(row.work_id) for row in found] == right
    assert after is None
    # an id that is more than a day older than the time asked for is not looked at
    late = filled.execute("select public.moment(8888888)").fetchone()[0]
    assert late - at > timedelta(days=1)
    assert ask(filled, since=late) == ([], None)


def test_pages_while_states_change_repeat_nothing_and_keep_what_stays(filled, database):
    """A row that keeps its state is on exactly one page, whatever others become meanwhile."""
    kept = {
        str(row[0])
        for row in filled.execute(
            "select run_id from tributary.steps where state = 'discarded' and kind = 'intent' and ordinal = 0 and seq % 2 = 0"
        )
    }
    stop = threading.Event()

    def disturb():
        dice = random.Random(7)
        with db.connect(database, application_name="disturb") as other:
            while not stop.is_set():
                other.execute(
                    """update tributary.steps
                       set state = case when state = 'discarded' then 'cancelled' else 'discarded' end::tributary.step_state
                       where kind = 'intent' and state in ('discarded', 'cancelled') and seq %% 2 = 1 and seq %% 16 = %s""",
                    (dice.randrange(16),),
                )

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(20):
            found = [
                work for page in pages(filled, state="discarded", kind="intent", limit=9) for work in page
            ]
            assert found == sorted(set(found), reverse=True)
            assert kept <= set(found)
    finally:
        stop.set()
        thread.join()


def test_what_goes_well_never_enters_the_indexes_of_the_unusual(connection):
    sizes = "select pg_relation_size('tributary.steps_unusual'), pg_relation_size('tributary.runs_unusual')"
    kit.offer(connection, kit.NAME)
    process = kit.Process(connection)
    empty = connection.execute(sizes).fetchone()
    for _ in range(20):
        kit.intent(connection)
    process.finish(process.claim(20))
    assert connection.execute(sizes).fetchone() == empty
    states = connection.execute("select distinct state from tributary.steps").fetchall()
    assert states == [("completed",)]


def test_counters_of_runs_stay_hot(connection):
    kit.offer(connection, kit.NAME)
    process = kit.Process(connection)
    chain = {f"s{k}": (f"s{k - 1}",) if k else () for k in range(6)}
    kit.start(connection, kit.workflow("w.chain.v1", chain))
    while claimed := process.claim(10):
        process.finish(claimed)
    connection.execute("select pg_stat_force_next_flush()")
    updated, hot = connection.execute(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'tributary.runs'::regclass"
    ).fetchone()
    # the end alone is not: it leaves the index of what has not completed
    assert (updated, hot) == (6, 5)


def test_a_database_with_history_is_migrated_up_and_down(filled, database):
    indexes = "select count(*) from pg_index where indexrelid::regclass::text like 'tributary.%_unusual' and indisvalid"
    migrator = Migrator(database)
    right = expected(filled, state="failed")
    migrator.down_to(BEFORE)
    assert filled.execute(indexes).fetchone() == (0,)
    # what a build that broke off may leave
    filled.execute("create index steps_unusual on tributary.steps (shard)")
    assert migrator.up().names
    assert filled.execute(indexes).fetchone() == (2,)
    assert "(shard, state, run_id)" in kit.scalar(
        filled, "select pg_get_indexdef('tributary.steps_unusual'::regclass)"
    )
    assert [work for page in pages(filled, state="failed") for work in page] == right
