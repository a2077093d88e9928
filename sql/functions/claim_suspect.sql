-- For workers of other runtimes: claims one intent that is suspected of crashing its process, if this process holds nothing else.
-- What the crash of such a process proves rests on that, and on the start, which is recorded with the claim. Index: steps_suspects.
create or replace function tributary.claim_suspect(p_shard smallint, p_process bigint, p_queues text[], p_names text[])
returns table (run_id uuid, seq bigint, name text, queue text, attempt smallint, max_attempts smallint, payload jsonb)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_tid tid;
    v_keys text[];
    v_key text;
    v_now timestamptz;
begin
    select s.ctid, limit_keys(s.queue, s.tenant_id) into v_tid, v_keys
    from steps s
    where s.shard = p_shard and s.state = 'available' and s.lone_crashes is not null and s.kind = 'intent'
      and s.queue = any (p_queues) and s.name = any (p_names)
      and not exists (select from queues q where q.name = s.queue and q.paused)
      and not exists (select from unnest(limit_keys(s.queue, s.tenant_id)) as k(key) where queue_opens(k.key) is distinct from 0)
      and not exists (select from registry r
                      where r.name = s.name
                        and (not r.is_enabled or r.runtime <> (select p.runtime from processes p where p.process_id = p_process)))
    order by s.priority desc, s.seq
    limit 1
    for update skip locked;
    v_now := clock();
    v_keys := array(select k from unnest(v_keys) as k where exists (select from limit_of(k)));
    if cardinality(v_keys) > 0 then
        foreach v_key in array v_keys loop
            if queue_room(v_key, 1) < 1 then
                return;
            end if;
        end loop;
        v_now := clock();
        perform spend_room(p_shard, v_keys, array[v_tid], v_now);
    end if;
    return query
        with claimed as (
            update steps s
            set state = 'running', attempt = s.attempt + 1, process_id = p_process, claimed_at = v_now, started_at = v_now, reason = null
            where s.ctid = v_tid and s.shard = p_shard
            returning s.*
        )
        select c.run_id, c.seq, c.name, c.queue, c.attempt, c.max_attempts, coalesce(c.payload, p.payload)
        from claimed c
        left join payloads p on p.shard = p_shard and p.run_id = c.run_id and p.ordinal = c.ordinal;
end $$;
