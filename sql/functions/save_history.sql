-- Adds to the history of a workflow function in the middle of its attempt: in the transaction of what it does there, which is to happen once.
-- Fenced like keep_history; false where the token no longer stands. Locks: root run, then the step. Index: steps_pkey, history_pkey.
create or replace function tributary.save_history(
    p_shard smallint, p_run_id uuid, p_ordinal integer, p_seq bigint, p_number integer, p_events text, p_status text
) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
begin
    perform from keep_history(p_shard, array[p_run_id], array[p_ordinal], array[p_seq], array[p_number], array[p_events], array[p_status],
                              array[null::text], array[p_run_id]);
    if not found then
        return false;
    end if;
    -- whoever claims it next has to read its history
    update steps s set flags = s.flags | 8192
    where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal and s.flags & 8192 = 0;
    return true;
end $$;
