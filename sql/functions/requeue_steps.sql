-- Dead letters of steps of one run go back together; STEP[KEY] is that of one item. Of a fan-out named as a whole the items that did not end
-- well run again, the others keep their results. Raises what retry and retry_only do.
create or replace function tributary.requeue_steps(id uuid, steps text[]) returns text
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_only text[];
begin
    perform check_sight(id);
    select array_agg(coalesce(i.name, u.step)) into v_only
    from unnest(steps) as u(step)
    left join lateral (
        select s.step_id || '[' || s.item_key || ']' as name from steps s
        where s.shard = v_shard and s.run_id = id and s.step_id = u.step and s.flags & 256 = 256 and s.item_key is not null
          and ended_badly(s.state, s.flags, s.reason)
    ) as i on true;
    if v_only = steps and not exists (select from unnest(steps) as u(step) where u.step like '%[%]') then
        return retry(id, steps);
    end if;
    return retry_only(id, array(select distinct name from unnest(v_only) as name));
end $$;
