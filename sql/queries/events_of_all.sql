-- Events of all work from a moment on, oldest first: those behind a place, or the newest.
-- Locks: none.
-- Index: see read_events, per shard.
-- Caller: store.events.page
select p.run_id, p.at, p.type, p.step_id, p.ordinal, p.attempt, p.data, c.correlation_id, c.business_id
from (
    select e.*
    from generate_series(0, tributary.shard_count() - 1) as n(shard)
    cross join lateral tributary.read_events(
        n.shard::smallint, %(since)s::timestamptz, %(last_id)s::uuid, %(ordinal)s::integer, %(type)s::text, %(types)s::text[],
        %(tenant)s::text, %(limit)s::integer) as e
    order by case when %(type)s::text is null then e.at end desc, e.at, e.run_id, coalesce(e.ordinal, case when e.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), e.type
    limit %(limit)s::integer
) as p
left join tributary.correlations as c on c.shard = tributary.shard_of(p.run_id) and c.run_id = p.run_id
order by p.at, p.run_id, coalesce(p.ordinal, case when p.type in ('run_completed', 'run_failed') then 2147483647 else -1 end), p.type
