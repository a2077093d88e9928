"""The statements by which `contexts` loads; each finds its rows by key."""

from __future__ import annotations

from typing import Final

RUNS: Final = """
    select r.run_id::text, r.revision_id::text, r.name, r.labels, r.created_at, r.run_at, p.payload,
           r.parent_run_id::text, coalesce(octet_length(p.payload::text), 0), r.tenant_id
    from unnest(%s::uuid[]) as u(run_id)
    cross join lateral (
        select * from tributary.runs k where k.shard = %s::smallint and k.run_id = u.run_id offset 0
    ) as r
    left join tributary.payloads p on p.shard = r.shard and p.run_id = r.run_id and p.ordinal = 0
"""
PLANS: Final = "select revision_id::text, plan from tributary.revisions where revision_id = any (%s::uuid[])"
RESULTS: Final = """
    select s.run_id::text, s.ordinal, s.step_id, s.state::text, s.attempt, s.result,
           s.state = 'completed' or not tributary.ended_badly(s.state, s.flags, s.reason)
    from unnest(%s::uuid[], %s::int[]) as u(run_id, ordinal)
    cross join lateral (
        select * from tributary.steps k
        where k.shard = %s::smallint and k.run_id = u.run_id and k.ordinal = u.ordinal offset 0
    ) as s
"""
FAILED: Final = """
    select s.run_id::text, u.below
    from unnest(%s::uuid[], %s::int[], %s::int[]) as u(run_id, ordinal, below)
    cross join lateral (
        select * from tributary.steps k
        where k.shard = %s::smallint and k.run_id = u.run_id and k.ordinal = u.ordinal offset 0
    ) as s
    where s.state = 'discarded' and (s.flags & 1 = 0 or s.reason = 'aborted')
    group by s.run_id, u.below
"""
ITEMS: Final = """
    select f.run_id::text, f.ordinal, s.ordinal, s.item_key, s.state::text, s.result,
           coalesce(s.payload, p.payload), s.step_id
    from unnest(%s::uuid[], %s::int[]) as u(run_id, ordinal)
    cross join lateral (
        select * from tributary.progress k
        where k.shard = %s::smallint and k.run_id = u.run_id and k.ordinal = u.ordinal offset 0
    ) as f
    cross join lateral (
        select * from tributary.steps k
        where k.shard = f.shard and k.run_id = f.run_id and k.ordinal >= (f.details -> 'first')::integer
          and k.ordinal < (f.details -> 'first')::integer + (f.details -> 'items')::integer offset 0
    ) as s
    left join lateral (
        select k.payload from tributary.payloads k
        where s.payload is null and k.shard = s.shard and k.run_id = s.run_id and k.ordinal = s.ordinal
        offset 0
    ) as p on true
    order by s.run_id, f.ordinal, s.ordinal
"""
AGGREGATE: Final = """
    select s.state::text, s.result, s.step_id, s.item_key
    from tributary.progress f
    join tributary.steps s on s.shard = f.shard and s.run_id = f.run_id
        and s.ordinal = (f.details -> 'aggregate')::integer
    where f.shard = %s::smallint and f.run_id = %s::uuid and f.ordinal = %s
"""
ENDED_CHILD: Final = """
    select r.run_id::text, r.result, p.options -> 'cached'
    from tributary.runs r
    join tributary.payloads p on p.shard = r.shard and p.run_id = r.run_id and p.ordinal = 0
    where r.shard = %s::smallint and r.parent_run_id = %s::uuid and r.parent_ordinal = %s
      and r.state = 'completed' and r.flags & 256 = 256
    order by r.created_at desc limit 1
"""
TEMPLATES: Final = """
    select coalesce(s.payload, p.payload)
    from tributary.steps s
    left join tributary.payloads p on p.shard = s.shard and p.run_id = s.run_id and p.ordinal = s.ordinal
    where s.shard = %s::smallint and s.run_id = %s::uuid and s.ordinal = %s
"""
ENDING: Final = """
    select r.ending::text, coalesce(r.error, (
        select d.error || jsonb_build_object('step', d.step_id) from tributary.dead_letters d
        where d.shard = r.shard and d.run_id = r.run_id order by d.created_at, d.ordinal limit 1))
    from tributary.runs r where r.shard = %s::smallint and r.run_id = %s::uuid
"""
PROGRESS: Final = """
    select p.run_id::text, p.ordinal, p.details
    from unnest(%s::uuid[], %s::int[]) as u(run_id, ordinal)
    join tributary.progress p on p.shard = %s::smallint and p.run_id = u.run_id and p.ordinal = u.ordinal
"""
