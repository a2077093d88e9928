-- Whether a run or an intent belongs to a tenant; true for any where the tenant is null.
-- Locks: none.
-- Index: runs_pkey, steps_pkey.
-- Caller: store.sight.sees
select %(tenant)s::text is null
       or coalesce((select r.tenant_id = %(tenant)s::text from tributary.runs as r
                    where r.shard = tributary.shard_of(%(id)s::uuid) and r.run_id = %(id)s::uuid),
                   (select s.tenant_id = %(tenant)s::text from tributary.steps as s
                    where s.shard = tributary.shard_of(%(id)s::uuid) and s.run_id = %(id)s::uuid and s.ordinal = 0 and s.kind = 'intent'), false)
