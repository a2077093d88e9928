-- A supervisor joins. Returns its id.
create or replace function tributary.register_worker(
    p_name text, p_host text, p_pid integer, p_version text, p_protocol integer, p_queues text[], p_names text[], p_concurrency integer, p_failures jsonb
) returns bigint
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_id bigint := clock_us() * 1024 + floor(random() * 1024)::bigint;
begin
    insert into workers (worker_id, started_at, beat_at, pid, concurrency, protocol, name, host, version, queues, names, failures)
    values (v_id, clock(), clock(), p_pid, p_concurrency, p_protocol, p_name, p_host, p_version, p_queues, p_names, p_failures);
    return v_id;
end $$;
