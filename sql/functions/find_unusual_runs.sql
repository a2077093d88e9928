-- What find_runs does, for a stored state that few runs are in: looks at no others. p_shown: the state as shown, where it is derived from
-- steps; each of these counts as a row looked at, and 20 more per run for the asking.
-- The order asked for leaves one index: with the state as an equal, the key would give that order too, over all of history.
create or replace function tributary.find_unusual_runs(
    p_shard smallint, p_after uuid, p_floor uuid, p_state run_state, p_shown text, p_name text, p_tenant text, p_labels jsonb,
    p_since timestamptz, p_limit integer, p_window integer
) returns table (run_id uuid, fits boolean, ended boolean)
language plpgsql stable
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
#variable_conflict use_column
declare
    v_run record;
    c_derived constant integer := 20;
    v_left integer := p_window;
    v_found integer := 0;
begin
    for v_run in
        select r.run_id, r.run_at, r.next_ordinal,
               r.parent_run_id is null and (p_name is null or r.name = p_name) and (p_tenant is null or r.tenant_id = p_tenant)
               and (p_labels is null or r.labels @> p_labels) and (p_since is null or r.created_at >= p_since) as fits
        from runs r
        where r.shard = p_shard and r.state <> 'completed'
          and (r.state, r.run_id) < (p_state, p_after) and (r.state, r.run_id) >= (p_state, p_floor)
        order by r.state desc, r.run_id desc
    loop
        run_id := v_run.run_id;
        fits := v_run.fits;
        v_left := v_left - 1;
        if fits and p_state = 'running' then
            fits := run_state_now(p_shard, run_id, p_state, v_run.run_at) = p_shown;
            v_left := v_left - c_derived - v_run.next_ordinal;
        end if;
        ended := v_left <= 0;
        if fits or ended then
            return next;
        end if;
        v_found := v_found + fits::integer;
        exit when ended or v_found = p_limit;
    end loop;
end $$;
