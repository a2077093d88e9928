-- The result of a run without `result`: the results of the steps that nobody needs, by their ids; of a workflow function, what it returned.
create or replace function tributary.leaf_results(p_shard smallint, p_run_id uuid) returns jsonb
language sql stable
set search_path to tributary, pg_temp
as $$
    select case when (select v.plan ? 'function' from runs r join revisions v using (revision_id) where r.shard = p_shard and r.run_id = p_run_id)
                then (select m.result from steps m where m.shard = p_shard and m.run_id = p_run_id and m.ordinal = 1)
                else coalesce(jsonb_object_agg(s.step_id, s.result), '{}') end
    from steps s
    where s.shard = p_shard and s.run_id = p_run_id and s.kind = 'step' and s.flags & 7936 = 0
      and not exists (select from edges e join steps c on c.shard = p_shard and c.run_id = p_run_id and c.ordinal = e.child
                      where e.shard = p_shard and e.run_id = p_run_id and e.parent = s.ordinal and c.kind = 'step')
$$;
