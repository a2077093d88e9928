-- Public. Which steps retry (from_steps) or retry_only (only_steps) would run again: it does so, looks, and takes it back, so that both always
-- agree. item_key is null for a step as a whole; a fan-out that runs as a whole is one row, and so is
-- an intent, without a step_id. Raises what they raise.
-- Locks: as theirs, until the caller's transaction ends.
create or replace function tributary.retry_preview(id uuid, from_steps text[] default null, only_steps text[] default null)
returns table (step_id text, item_key text, state text, again boolean)
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_before integer[];
    v_again integer[];
begin
    perform check_sight(id);
    begin
        v_before := array(select s.ordinal from steps s where s.shard = v_shard and s.run_id = id and s.finished_at is not null);
        perform retry_work(id, from_steps, only_steps);
        v_again := array(select s.ordinal from steps s
                         where s.shard = v_shard and s.run_id = id and s.finished_at is null and s.ordinal = any (v_before));
        raise exception sqlstate 'TR099';
    exception when sqlstate 'TR099' then
        null;  -- what was done is undone
    end;
    return query
        select s.step_id, s.item_key, s.state::text, s.ordinal = any (v_again)
        from steps s
        where s.shard = v_shard and s.run_id = id and s.kind <> 'closing'
          and (s.flags & 256 = 0 or s.ordinal = any (v_again)) and s.payload is distinct from '{"aggregate": true}'
          -- a retry forgets how it was undone
          and s.flags & 7680 <> hook_bits('undo')
        order by s.ordinal;
end $$;
