-- Chunks of what the attempts of one run or intent said, the newest first: those before a place.
-- Locks: none.
-- Index: log_chunks_by_time, steps_pkey.
-- Caller: store.logs.before
select c.at, c.ordinal, c.seq, c.part, c.attempt, c.lines_before, c.bytes_before, c.lines, c.bytes, c.entries, s.step_id, s.item_key
from tributary.log_chunks as c
join tributary.steps as s on s.shard = c.shard and s.run_id = c.run_id and s.ordinal = c.ordinal
where c.shard = tributary.shard_of(%(id)s::uuid) and c.run_id = %(id)s::uuid
  and c.at <= coalesce(%(at)s::timestamptz, 'infinity')
  and (%(at)s::timestamptz is null
       or (c.at, c.ordinal, c.seq, c.part) < (%(at)s::timestamptz, %(ordinal)s::integer, %(seq)s::bigint, %(part)s::integer))
  and (%(since)s::float8 is null or c.at >= tributary.clock() - make_interval(secs => %(since)s::float8))
  and (%(step)s::text is null or s.step_id = %(step)s::text)
  and (%(item)s::text is null or s.item_key = %(item)s::text)
  and (%(attempt)s::smallint is null or c.attempt = %(attempt)s::smallint)
order by c.at desc, c.ordinal desc, c.seq desc, c.part desc
limit %(limit)s::integer
