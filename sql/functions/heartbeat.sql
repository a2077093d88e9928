-- Public. Beats for a process; with a token tells whether it still stands, and keeps details for status and the next attempt.
create or replace function tributary.heartbeat(
    process bigint, run_id uuid default null, token bigint default null, details jsonb default null
) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_now timestamptz := clock();
begin
    update processes p set beat_at = v_now where p.process_id = heartbeat.process;
    if not found then
        raise exception 'process % is not registered', process
            using errcode = 'TR004', hint = 'it was silent too long; stop its work and call tributary.register_process again';
    end if;
    if run_id is null then
        return true;
    elsif details is not null then
        perform check_payload('the details', details);
        return save_progress(shard_of(run_id), run_id, 0, token, details);
    end if;
    return exists (select from steps s where s.shard = shard_of(heartbeat.run_id) and s.run_id = heartbeat.run_id and s.ordinal = 0
                     and s.state = 'running' and s.seq = token);
end $$;
