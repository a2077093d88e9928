-- Whose a run or intent is, and the ordinal of one of its steps (null: that of an intent, or none).
-- Locks: none.
-- Index: runs_pkey, steps_pkey.
-- Caller: store.sealed.place_of
select t.tenant_id, s.ordinal
from (
    select r.tenant_id from tributary.runs as r
    where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid
    union all
    select i.tenant_id from tributary.steps as i
    where i.shard = tributary.shard_of(%(id)s::uuid) and i.run_id = %(id)s::uuid and i.ordinal = 0 and i.kind = 'intent'
) as t
left join lateral (
    select k.ordinal from tributary.steps as k
    where k.shard = tributary.shard_of(%(id)s::uuid) and k.run_id = %(id)s::uuid and k.kind <> 'closing'
      and case when %(step)s::text is null then k.kind = 'intent' else k.step_id = %(step)s::text and k.item_key is null end
    order by k.ordinal limit 1
) as s on true
