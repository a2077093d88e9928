-- lock_lanes where some of the lanes are under limits (p_limited, keys of limit_of): these give what their queue and their tenant have room for.
-- The order of the lanes stays; what is taken of the room, the caller spends. Locks: as lock_lanes, and the counters of those limits by SKIP LOCKED, before their rows.
create or replace function tributary.lock_limited(
    p_shard smallint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    p_names text[], p_python boolean, p_foreign boolean, p_n integer, p_limited text[]
) returns tid[]
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_tids tid[] := '{}';
    v_got tid[];
    v_left integer := p_n;
    v_rooms jsonb := '{}';
    v_keys text[];
    v_key text;
    v_room integer;
    i integer := 1;
    j integer;
begin
    while i <= cardinality(p_queues) and v_left > 0 loop
        j := i;
        v_keys := array(select k from unnest(limit_keys(p_queues[i], p_tenants[i])) as k where k = any (p_limited));
        if cardinality(v_keys) > 0 then
            v_room := v_left;
            foreach v_key in array v_keys loop
                -- asked once: who asks again would count his own claims twice
                if not v_rooms ? v_key and v_room > 0 then
                    v_rooms := v_rooms || jsonb_build_object(v_key, queue_room(v_key, v_left));
                end if;
                v_room := least(v_room, (v_rooms ->> v_key)::integer);
            end loop;
            v_got := '{}';
            if v_room > 0 then
                v_got := lock_lanes(p_shard, p_queues[i:i], p_priorities[i:i], p_tenants[i:i], p_lows[i:i],
                                    p_names, p_python, p_foreign, v_room);
                foreach v_key in array v_keys loop
                    v_rooms := v_rooms || jsonb_build_object(v_key, (v_rooms ->> v_key)::integer - cardinality(v_got));
                end loop;
            end if;
        else
            while j < cardinality(p_queues) and not limit_keys(p_queues[j + 1], p_tenants[j + 1]) && p_limited loop
                j := j + 1;
            end loop;
            v_got := lock_lanes(p_shard, p_queues[i:j], p_priorities[i:j], p_tenants[i:j], p_lows[i:j], p_names, p_python, p_foreign, v_left);
        end if;
        v_tids := v_tids || v_got;
        v_left := v_left - cardinality(v_got);
        i := j + 1;
    end loop;
    return v_tids;
end $$;
