-- What a `trib run` that has ended left of a run or an intent goes to the queues that its options name: the private one is served by
-- nobody any more. The caller holds the root run's lock.
create or replace function tributary.leave_runner(p_shard smallint, p_run_id uuid) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_since timestamptz := clock() - interval '15 seconds';
begin
    update steps s
    set queue = case when s.kind = 'closing' or is_control(s.name) then '~closing'
                     else coalesce((select p.options #>> '{queue,value}' from payloads p
                                    where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = s.ordinal), 'default') end
    where s.shard = p_shard and s.run_id = p_run_id and s.queue like '@%'
      and not exists (select from workers w where s.queue = any (w.queues) and w.beat_at > v_since);
    update runs r set runner_id = null
    where r.shard = p_shard and r.run_id = p_run_id and r.runner_id is not null
      and not exists (select from workers w where w.worker_id = r.runner_id and w.beat_at > v_since);
end $$;
