-- A step begins to wait. p_terms: {kind: timer | signal | approval, at | seconds, signal, payload, goes_on, prompt, form}; seconds count from the
-- moment in which the step was ready: its needs had ended. Returns what it waits for where that is there already: the payload of a signal that was sent before
-- (the first of that name that holds p_terms' payload and that nobody has taken), null as JSON for a time that has passed. Else null:
-- then it waits. The caller holds the root run's lock and has locked the step. Index: signals_pkey, steps_pkey.
create or replace function tributary.begin_wait(p_shard smallint, p_step steps, p_terms jsonb, p_now timestamptz) returns jsonb
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_kind text := p_terms ->> 'kind';
    v_number integer;
    v_payload jsonb;
    v_ready timestamptz;
    v_due timestamptz;
begin
    if p_step.flags & 7936 = 0 and p_step.attempt_base = 0 then
        v_ready := greatest(p_step.run_at, coalesce(
            (select max(n.finished_at) from edges e
             join steps n on n.shard = p_shard and n.run_id = e.run_id and n.ordinal = e.parent
             where e.shard = p_shard and e.run_id = p_step.run_id and e.child = p_step.ordinal), p_step.created_at));
    else
        -- an item, a step of a hook, and one that was retried have no needs that tell: their seq, which a claim leaves as it is, holds the
        -- microseconds of the true clock in which they became available
        v_ready := p_now - make_interval(secs => greatest(clock_us() - p_step.seq, 0) / 1e6::float8);
    end if;
    v_due := coalesce((p_terms ->> 'at')::timestamptz, v_ready + make_interval(secs => (p_terms ->> 'seconds')::float8));
    if v_kind = 'signal' then
        select g.number, g.payload into v_number, v_payload from signals g
        where g.shard = p_shard and g.run_id = p_step.run_id and g.taken_by is null and g.name = p_terms ->> 'signal'
          and g.payload @> coalesce(p_terms -> 'payload', g.payload)
        order by g.number limit 1;
        if found then
            update signals g set taken_by = p_step.ordinal, taken_at = p_now
            where g.shard = p_shard and g.run_id = p_step.run_id and g.number = v_number;
            return v_payload;
        end if;
    elsif v_kind = 'timer' and v_due <= p_now then
        return 'null';
    end if;
    insert into waits (run_id, began_at, due_at, ordinal, shard, goes_on, tenant_id, kind, signal, payload, prompt, form)
    values (p_step.run_id, p_now, v_due, p_step.ordinal, p_shard, coalesce((p_terms ->> 'goes_on')::boolean, false), p_step.tenant_id, v_kind,
            p_terms ->> 'signal', p_terms -> 'payload', p_terms ->> 'prompt', p_terms -> 'form');
    update steps s
    set state = 'waiting', reason = v_kind, process_id = null, started_at = coalesce(s.started_at, s.claimed_at)
    where s.shard = p_shard and s.run_id = p_step.run_id and s.ordinal = p_step.ordinal;
    return null;
end $$;
