-- lock_lanes where some of the lanes belong to queues with a limit (p_limited): these give what their queue has room for.
-- The order of the lanes stays; what is taken of the room, the caller spends. Locks: as lock_lanes, and the counters of those queues by SKIP LOCKED, before their rows.
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
    v_known text[] := '{}';
    v_rooms integer[] := '{}';
    v_at integer;
    i integer := 1;
    j integer;
begin
    while i <= cardinality(p_queues) and v_left > 0 loop
        j := i;
        if p_queues[i] = any (p_limited) then
            v_at := array_position(v_known, p_queues[i]);
            if v_at is null then
                v_known := v_known || p_queues[i];
                v_rooms := v_rooms || queue_room(p_queues[i], v_left);
                v_at := cardinality(v_known);
            end if;
            v_got := '{}';
            if v_rooms[v_at] > 0 then
                v_got := lock_lanes(p_shard, p_queues[i:i], p_priorities[i:i], p_tenants[i:i], p_lows[i:i],
                                    p_names, p_python, p_foreign, least(v_left, v_rooms[v_at]));
                v_rooms[v_at] := v_rooms[v_at] - cardinality(v_got);
            end if;
        else
            while j < cardinality(p_queues) and p_queues[j + 1] <> all (p_limited) loop
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
