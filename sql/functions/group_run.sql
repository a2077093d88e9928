-- A run that was just submitted, in the same transaction, asks for the slot of its group: held, queued or rejected. While it waits its
-- roots do, with the reason group; what waits for a handler keeps that reason. Of a rejected one the caller stores nothing.
-- Locks: the caller's own rows, the group's counter. Index: steps_pkey.
create or replace function tributary.group_run(p_shard smallint, p_run_id uuid, p_group text, p_limit integer, p_on_limit text) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_tenant text;
    v_state text;
begin
    select r.tenant_id into strict v_tenant from runs r where r.shard = p_shard and r.run_id = p_run_id;
    v_state := enter_group(p_shard, v_tenant, p_group, p_limit, p_on_limit, p_run_id, null);
    if v_state = 'queued' then
        update steps s set state = 'waiting', reason = 'group'
        where s.shard = p_shard and s.run_id = p_run_id and s.state in ('available', 'scheduled');
    end if;
    return v_state;
end $$;
