-- The shards that a worker serves now: those it was told; with spreads its share of all, else all. Those that spread and could replace each
-- other (the same queues, the same names) go by their ids: the first of three serves the shards 0, 3, 6 and so on. Who is paused, drains,
-- has been silent for ten seconds or has no process that beats has no share. Every worker asks with each beat, and finds the same.
-- Locks: none. Index: workers and processes are read as a whole, small tables.
create or replace function tributary.served_shards(p_worker bigint) returns smallint[]
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz := clock();
    v_count integer := shard_count();
    v_me workers;
    v_equals bigint[];
    v_place integer;
begin
    select * into v_me from workers w where w.worker_id = p_worker;
    if not found or (v_me.shards is null and not v_me.spreads) then
        return array(select generate_series(0, v_count - 1)::smallint);
    elsif v_me.shards is not null then
        return array(select s from unnest(v_me.shards) as s where s < v_count order by s);
    end if;
    v_equals := array(
        select w.worker_id from workers w
        where w.spreads and w.shards is null and w.state = 'running' and w.beat_at > v_now - interval '10 seconds'
          and w.queues @> v_me.queues and w.queues <@ v_me.queues and w.names @> v_me.names and w.names <@ v_me.names
          and exists (select from processes p where p.worker_id = w.worker_id and p.beat_at > v_now - interval '10 seconds')
        order by w.worker_id);
    v_place := array_position(v_equals, p_worker) - 1;
    if v_place is null then
        return array(select generate_series(0, v_count - 1)::smallint);
    end if;
    -- more workers than shards: two of them share one
    return array(select s::smallint from generate_series(0, v_count - 1) as s
                 where s % cardinality(v_equals) = v_place % v_count);
end $$;
