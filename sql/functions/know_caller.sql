-- All that a claim has to know of its caller, its names, its queues and their tenants, in one statement: names that it may run, whether rows of
-- other names may lie in the lanes, which of the queues are paused, and the keys of limits (limit_of) that hold some of them. silent: its
-- leases are being taken away at this moment; it claims again once it has beaten.
-- Index: processes_pkey, tenants_pkey; registry and queues are read as a whole, small tables. The planner's settings are the callers'.
create or replace function tributary.know_caller(
    p_process bigint, p_queues text[], p_tenants text[], p_names text[],
    out names text[], out python boolean, out others boolean, out paused text[], out limited text[], out silent boolean
)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_beat_at timestamptz;
    v_struck text[];
begin
    select p.runtime = 'python', p.beat_at, r.struck, r.others, q.paused, q.limited || t.limited
    into python, v_beat_at, v_struck, others, paused, limited
    from processes p
    cross join lateral (
        select array_agg(g.name) filter (where not g.is_enabled or g.runtime <> p.runtime) as struck,
               coalesce(bool_or(g.name <> all (p_names)), false) as others
        from registry g
    ) as r
    cross join (
        select array_agg(k.name) filter (where k.paused) as paused,
               coalesce(array_agg(k.name) filter (where k.name = any (p_queues) and (k.concurrency is not null or k.rate is not null)),
                        '{}') as limited
        from queues k
    ) as q
    cross join (
        select array(select 'tenant:' || n.tenant_id from tenants n where n.tenant_id = any (p_tenants)) as limited
    ) as t
    where p.process_id = p_process;
    if not found then
        raise exception 'process % is not registered', p_process
            using errcode = 'TR004', hint = 'call tributary.register_process first; a process that was silent too long registers anew';
    end if;
    silent := v_beat_at < clock() - interval '10 seconds';
    names := p_names;
    if v_struck is not null then
        names := array(select n from unnest(p_names) as n where n <> all (v_struck));
    end if;
    others := others or v_struck is not null or not python;
end $$;
