-- Public. Claims up to `most` intents of these names from these queues for a registered process. token is the fence of each attempt.
create or replace function tributary.claim(process bigint, queues text[], names text[], most integer default 1)
returns table (run_id uuid, token bigint, name text, queue text, attempt smallint, max_attempts smallint, payload jsonb)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_shard smallint;
    v_left integer := most;
    v_got integer;
begin
    update processes p set beat_at = clock() where p.process_id = claim.process;
    for v_shard in select s::smallint from generate_series(0, shard_count() - 1) as s order by random() loop
        exit when v_left <= 0;
        perform promote(v_shard, 500);
        return query
            select c.run_id, c.seq, c.name, c.queue, c.attempt, c.max_attempts, c.payload::jsonb
            from (select array_agg(l.queue order by l.priority desc) as queues, array_agg(l.priority order by l.priority desc) as priorities,
                         array_agg(l.tenant_id order by l.priority desc) as tenants, array_agg(l.first_seq order by l.priority desc) as lows
                  from find_lanes(v_shard, claim.queues, 64) as l) as lanes
            cross join lateral claim_steps(v_shard, claim.process, lanes.queues, lanes.priorities, lanes.tenants, lanes.lows,
                                           claim.names, v_left) as c;
        get diagnostics v_got = row_count;
        v_left := v_left - v_got;
    end loop;
end $$;
