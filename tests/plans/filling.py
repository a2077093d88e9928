# ruff: noqa: E501 - statements of SQL
"""A database as it looks after long work: rows in every state, loaded without their indexes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import NamedTuple

from tests.store import protocol_kit as kit

NAME, OTHER, LATE = kit.NAME, "t.other.v1", "t.late.v1"
LIVE_RUNS, STEPS_PER_RUN, HELD = 1_000, 10, 1_000
FAN = 1_000
TABLES = ("steps", "payloads", "edges", "runs", "keys", "attempts", "event_log", "dead_letters", "revisions")


class Size(NamedTuple):
    """Rows that are ready, and rows that have finished."""

    ready: int
    finished: int


# ids grow with n as real ones grow with time; kinds keep those of a millisecond apart
MADE = """
    create function public.made(kind integer, n bigint) returns uuid language sql immutable as $$
        select (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
                || '8' || lpad(to_hex(n), 15, '0'))::uuid
    $$;
    create function public.moment(n bigint) returns timestamptz language sql immutable as $$
        select to_timestamp((1700000000000 + n) / 1000.0)
    $$;
"""

# in order of time: finished 1 … F, then what lives F+1 … F+R
FINISHED_INTENTS = """
    insert into tributary.steps (run_id, seq, created_at, claimed_at, started_at, finished_at, ordinal, kind, state,
                                 shard, attempt, name, queue, reason, result)
    select made(1, n), n, moment(n), moment(n), moment(n), moment(n + 5), 0, 'intent',
           case when n %% 1000 = 0 then 'discarded' else 'completed' end::tributary.step_state, 0, 1, %(name)s, 'default',
           case when n %% 1000 = 0 then 'retry' end, '{"n": 1}'
    from generate_series(1, %(finished)s) as n where n %% 10 <> 1
"""
FINISHED_RUNS = """
    with made as (
        insert into tributary.runs (run_id, root_id, revision_id, created_at, finished_at, shard, remaining,
                                    next_ordinal, state, name, labels)
        select made(2, n), made(2, n), %(revision)s, moment(n), moment(n + 9), 0, 0, 12,
               case when n %% 1000 = 1 then 'failed' else 'completed' end::tributary.run_state, 'w.done.v1', '{"team": "a"}'
        from generate_series(1, %(finished)s, 100) as n
        returning run_id, created_at, finished_at
    )
    insert into tributary.steps (run_id, seq, created_at, claimed_at, started_at, finished_at, ordinal, kind, state,
                                 shard, attempt, name, queue, step_id, result)
    select m.run_id, o, m.created_at, m.created_at, m.created_at, m.finished_at, o, 'step', 'completed', 0, 1, %(name)s,
           'default', 's' || o, '{"n": 1}'
    from made as m, generate_series(1, 10) as o
"""
READY = """
    insert into tributary.steps (run_id, seq, created_at, ordinal, kind, state, shard, priority, tenant_id, name, queue)
    select made(3, %(finished)s + n), 1000000000000000 + n, moment(%(finished)s + n), 0, 'intent', 'available', 0,
           case when n %% 10 = 0 then n / 10 %% 50 else 0 end, case when n %% 20 = 0 then 't' || n / 20 %% 3 else '' end,
           case when n %% 4 = 0 then %(other)s else %(name)s end, 'default'
    from generate_series(1, %(ready)s) as n
"""
WAITING = """
    insert into tributary.steps (run_id, seq, created_at, run_at, ordinal, kind, state, shard, name, queue, reason)
    select made(4, %(finished)s + n), n, moment(%(finished)s + n), clock_timestamp() + n * interval '1 minute',
           0, 'intent', case when n %% 2 = 0 then 'scheduled' else 'waiting' end::tributary.step_state, 0,
           case when n %% 2 = 0 then %(name)s else %(late)s end, 'default', case when n %% 2 = 1 then 'no_handler' end
    from generate_series(1, %(ready)s / 10) as n
"""
HELD_ROWS = """
    insert into tributary.steps (run_id, seq, process_id, created_at, claimed_at, ordinal, kind, state, shard, attempt,
                                 name, queue)
    select made(5, %(finished)s + %(ready)s + n), n, (%(processes)s::bigint[])[1 + n %% 2], clock_timestamp(),
           clock_timestamp(), 0, 'intent', 'running', 0, 1, %(name)s, 'default'
    from generate_series(1, 2 * %(held)s) as n
"""
PAYLOADS = """
    insert into tributary.payloads (run_id, ordinal, shard, payload)
    select s.run_id, s.ordinal, 0, '{"n": 1}' from tributary.steps as s
"""
FAILURES = """
    with ended as (select * from tributary.steps where state = 'discarded'), letters as (
        insert into tributary.dead_letters (run_id, created_at, ordinal, shard, attempt, kind, name, queue, reason, error)
        select run_id, finished_at, 0, 0, 1, kind, name, queue, 'retry', '{"type": "Failed"}' from ended
    ), logged as (
        insert into tributary.event_log (run_id, at, ordinal, attempt, shard, type)
        select run_id, finished_at, 0, 1, 0, 'step_discarded' from ended
    )
    insert into tributary.attempts (run_id, seq, finished_at, ordinal, shard, attempt, outcome, error)
    select run_id, seq, finished_at, 0, 0, 1, 'discarded', '{"type": "Failed"}' from ended
"""


def load(connection, size):
    """Fill a migrated database; nobody collects statistics of it afterwards.

    Returns:
        ids of two processes, each holding `HELD` running intents.
    """
    for table in TABLES:
        connection.execute(f"alter table tributary.{table} set (autovacuum_enabled = off)")
    kit.offer(connection, NAME, OTHER)
    chain = {f"s{k}": (f"s{k - 1}",) if k else () for k in range(STEPS_PER_RUN)}
    revision = kit.save(connection, kit.workflow("w.live.v1", chain))
    processes = [kit.Process(connection).id for _ in range(2)]
    values = {
        "name": NAME, "other": OTHER, "late": LATE, "revision": revision, "processes": processes, "held": HELD,
        **size._asdict(),
    }  # fmt: skip
    connection.execute(MADE)
    connection.execute("set search_path to public")
    with _without_indexes(connection):
        for statement in (FINISHED_INTENTS, FINISHED_RUNS, READY, WAITING, HELD_ROWS, PAYLOADS, FAILURES):
            connection.execute(statement, values)
    connection.execute("reset search_path")
    _start_runs(connection, revision)
    _forget_sizes(connection)
    return processes


def _start_runs(connection, revision):
    fan = {"top": (), **{f"s{k}": ("top",) for k in range(FAN)}}
    wide = kit.save(connection, kit.workflow("w.fan.v1", fan))
    submit = """select count(*) from generate_series(1, %s) as n cross join lateral tributary.submit_run(
                    %s, %s, '{}', null, null, null, null, jsonb_build_object('n', n), '', null, null, null)"""
    connection.execute(submit, (LIVE_RUNS, revision, "w.live.v1"))
    connection.execute(submit, (1, wide, "w.fan.v1"))


def _forget_sizes(connection):
    """Make the planner know as little of these tables as after `migrate up`: building an index counts rows."""
    connection.execute(
        "update pg_class set reltuples = -1, relpages = 0, relallvisible = 0"
        " where relkind = 'r' and relnamespace = 'tributary'::regnamespace"
    )


@contextmanager
def _without_indexes(connection):
    """Drop the indexes of `TABLES` meanwhile, and make the same ones again."""
    before = _indexes(connection)
    for table, name, _, primary in before:
        drop = f"alter table {table} drop constraint {name}" if primary else f"drop index tributary.{name}"
        connection.execute(drop)
    yield
    connection.execute("set maintenance_work_mem to '512MB'")
    for table, name, definition, primary in before:
        again = f"alter table {table} add constraint {name} {definition}" if primary else definition
        connection.execute(again)
    connection.execute("reset maintenance_work_mem")
    assert _indexes(connection) == before


def _indexes(connection):
    return connection.execute(
        """select i.indrelid::regclass::text, c.relname, coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(c.oid)),
                  i.indisprimary
           from pg_index as i
           join pg_class as c on c.oid = i.indexrelid
           left join pg_constraint as k on k.conindid = c.oid and k.contype = 'p'
           where i.indrelid = any (%s::regclass[]) order by 1, 2""",
        # workflows refer to revisions, which stay small
        ([f"tributary.{table}" for table in TABLES if table != "revisions"],),
    ).fetchall()
