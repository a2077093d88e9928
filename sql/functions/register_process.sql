-- Public. A process (in any language) joins and offers names; claim is refused before. Its lease lives as long as it beats. Returns its id.
create or replace function tributary.register_process(
    name text, runtime text default 'other', names text[] default '{}', pid integer default null, worker_id bigint default null
) returns bigint
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    -- boot-unique: microseconds and ten random bits, never handed out again
    v_id bigint := clock_us() * 1024 + floor(random() * 1024)::bigint;
    v_name text;
begin
    perform check_name('a process''s name', name);
    insert into processes (process_id, worker_id, started_at, beat_at, pid, runtime, name)
    values (v_id, worker_id, clock(), clock(), pid, runtime, name);
    foreach v_name in array names loop
        perform check_name('a handler''s name', v_name);
        insert into registry (name, runtime, offered_at) values (v_name, runtime, clock())
        on conflict on constraint registry_pkey do update set offered_at = excluded.offered_at where registry.offered_at is null;
    end loop;
    if cardinality(names) > 0 then
        perform release_waiting(s::smallint, 1000) from generate_series(0, shard_count() - 1) as s;
    end if;
    return v_id;
end $$;
