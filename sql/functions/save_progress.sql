-- Keeps the details of a step's heartbeat, fenced; false when the token no longer stands.
create or replace function tributary.save_progress(p_shard smallint, p_run_id uuid, p_ordinal integer, p_seq bigint, p_details jsonb) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    perform from steps s
    where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = p_ordinal and s.state = 'running' and s.seq = p_seq
    for key share;
    if not found then
        return false;
    end if;
    insert into progress as p (run_id, at, ordinal, shard, details)
    values (p_run_id, clock(), p_ordinal, p_shard, p_details)
    on conflict (shard, run_id, ordinal) do update set at = excluded.at, details = excluded.details;
    return true;
end $$;
