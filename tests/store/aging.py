"""Finished work of another time, by the real clock: for programs whose clock a test cannot fake."""

from __future__ import annotations

_OLD = """
    with ids as (
        select n, at.old,
               overlay(tributary.first_id(at.old)::text placing lpad(to_hex(n), 12, '0') from 25)::uuid as id
        from generate_series(1, %(count)s) as n, (select now() - %(age)s::interval) as at (old)
    ), made as (
        insert into tributary.steps (run_id, seq, created_at, claimed_at, started_at, finished_at, attempt,
                                     ordinal, kind, state, shard, name, queue)
        select id, n, old, old, old, old, 1, 0, 'intent', %(state)s::tributary.step_state,
               tributary.shard_of(id), 'trib.noop.v1', 'default'
        from ids
        returning run_id, shard
    ), kept as (
        insert into tributary.payloads (run_id, ordinal, shard, payload)
        select run_id, 0, shard, '{}' from made
    )
    select run_id::text from made
"""


def finished(connection, count, age, state="completed"):
    """Add intents that ended ``age`` ago (an interval); return their ids."""
    rows = connection.execute(_OLD, {"count": count, "age": age, "state": state}).fetchall()
    return [row[0] for row in rows]
