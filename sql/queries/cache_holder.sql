-- Whether who fills an entry of the step cache is still at it: an attempt under that lease, which runs or has just completed, or the step whose attempt has started a child run: while it waits for that, and until it has completed. Its seq was another one before the child run's end.
-- Locks: none.
-- Index: steps_pkey.
-- Caller: store.cache.holders.lives
select exists (
    select from tributary.steps as s
    where s.shard = %(shard)s::smallint and s.run_id = %(run_id)s::uuid and s.ordinal = %(ordinal)s
      and (s.seq = %(seq)s and (s.state in ('running', 'completed') or s.state = 'waiting' and s.reason = 'child')
           or s.seq > %(seq)s and s.name = 'trib.workflow.v1' and s.flags & 8192 = 8192)
      and (s.finished_at is null or s.state = 'completed' and s.finished_at > tributary.clock() - interval '5 seconds'))
