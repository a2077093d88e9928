-- The short way for one step that has ended well, where one step or none needed it and its run simply goes on: a third of what the
-- statements for batches cost (settle_steps), which is what a long chain waits for. False where there is more to it; then nothing is
-- written (settled). handed: where the child lies, if the caller goes on with it (find_next_in_line).
-- Locks, below the root run's, which the caller holds: the child's row.
drop function if exists tributary.settle_one(smallint, uuid, integer, timestamptz, text[], text[], integer);
drop function if exists tributary.settle_one(
    smallint, uuid, integer, timestamptz, text[], text[], integer, bigint, integer, text[], smallint[], text[], bigint[]);
create or replace function tributary.settle_one(
    p_shard smallint, p_run_id uuid, p_ordinal integer, p_now timestamptz, p_queues text[], p_names text[], p_free integer,
    p_next_process bigint, p_next_queues text[], p_next_priorities smallint[], p_next_tenants text[], p_next_befores bigint[],
    out settled boolean, out handed tid
)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
as $$
declare
    v_run tid;
    v_simple boolean;
    v_children integer[];
    v_child tid;
    v_unmet integer;
    v_queue text;
    v_name text;
    v_mine boolean;
    v_us bigint;
begin
    settled := false;
    -- conditions are looked at, not searched by: no partial index is a better way to a row than its key
    select r.ctid, r.state in ('running', 'paused') and r.remaining > 1 and r.flags = 0 and r.parent_run_id is null and r.ending is null,
           array(select k.child from edges k where k.shard = p_shard and k.run_id = p_run_id and k.parent = p_ordinal limit 2)
    into v_run, v_simple, v_children
    from runs r where r.shard = p_shard and r.run_id = p_run_id;
    if v_simple is not true or cardinality(v_children) > 1 then
        return;
    end if;
    if cardinality(v_children) = 1 then
        -- bits: a need ended badly; its time counts from now; it is paused, or one too many
        select s.ctid, s.state = 'blocked' and (s.unmet > 1 or s.flags & 210 = 0 and s.reason is null and (s.run_at <= p_now) is not false),
               s.unmet, s.queue, s.name,
               p_next_process is not null and s.expires_at is null and s.name = any (p_names) and exists (
                   select from unnest(p_next_queues, p_next_priorities, p_next_tenants, p_next_befores) as l(queue, priority, tenant_id, before)
                   where l.queue = s.queue and l.priority = s.priority and l.tenant_id = s.tenant_id and s.seq < l.before)
        into v_child, v_simple, v_unmet, v_queue, v_name, v_mine
        from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = v_children[1]
        for update;
        if v_simple is not true then
            return;
        elsif v_unmet > 1 then
            update steps s set unmet = s.unmet - 1 where s.ctid = v_child and s.shard = p_shard;
        elsif v_mine then
            v_us := clock_us();
            -- as write_claims
            update steps s
            set unmet = 0, state = 'running', seq = greatest(s.seq + 1, v_us + 1), attempt = s.attempt + 1, process_id = p_next_process,
                claimed_at = p_now, started_at = null
            where s.ctid = v_child and s.shard = p_shard
            returning s.ctid into handed;
        else
            v_us := clock_us();
            update steps s set unmet = 0, state = 'available', seq = greatest(s.seq + 1, v_us + 1)
            where s.ctid = v_child and s.shard = p_shard;
            if p_free < 1 or v_queue <> all (p_queues) or v_name <> all (p_names) then
                perform wake(array[v_queue]);
            end if;
        end if;
    end if;
    update runs r set remaining = r.remaining - 1 where r.ctid = v_run and r.shard = p_shard;
    settled := true;
end $$;
