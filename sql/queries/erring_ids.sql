-- Which of these runs and intents have an attempt or a result that failed with this text in its type or message.
-- Locks: none.
-- Index: attempts_pkey, runs_pkey.
-- Caller: store.bulk.erring
select u.id
from unnest(%(ids)s::uuid[]) as u(id)
cross join lateral (
    select exists (
        select from tributary.attempts as a
        where a.shard = tributary.shard_of(u.id) and a.run_id = u.id
          and strpos(lower(concat(a.error ->> 'type', ': ', a.error ->> 'message')), lower(%(text)s)) > 0
    ) or exists (
        select from tributary.runs as r
        where r.shard = tributary.shard_of(u.id) and r.run_id = u.id
          and strpos(lower(concat(r.error ->> 'type', ': ', r.error ->> 'message')), lower(%(text)s)) > 0
    ) as fits
) as looked
where looked.fits
