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
    v_shard smallint;
begin
    perform check_name('a process''s name', name);
    insert into processes (process_id, worker_id, started_at, beat_at, pid, runtime, name)
    values (v_id, worker_id, clock(), clock(), pid, runtime, name);
    -- sorted: two processes that offer the same names wait for each other in one order
    for v_name in select distinct n from unnest(names) as n order by n loop
        perform check_name('a handler''s name', v_name);
        insert into registry (name, runtime, offered_at) values (v_name, runtime, clock())
        on conflict on constraint registry_pkey do update set offered_at = excluded.offered_at where registry.offered_at is null;
    end loop;
    if cardinality(names) > 0 then
        for v_shard in select s::smallint from generate_series(0, shard_count() - 1) as s loop
            -- one transaction does not move a million: the leader releases the rest, in fleets without one claims do
            for v_batch in 1 .. 10 loop
                exit when release_waiting(v_shard, 1000) = 0;
            end loop;
        end loop;
    end if;
    return v_id;
end $$;
