-- Whether an attempt that fills an entry of the step cache is still at it: it runs under that lease, or has just completed.
-- Locks: none.
-- Index: steps_pkey.
-- Caller: store.cache.holders.lives
select exists (
    select from tributary.steps as s
    where s.shard = %(shard)s::smallint and s.run_id = %(run_id)s::uuid and s.ordinal = %(ordinal)s and s.seq = %(seq)s
      and (s.state = 'running' or s.state = 'completed' and s.finished_at > tributary.clock() - interval '5 seconds'))
