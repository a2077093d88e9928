-- Public. Claims up to `most` (at most 1,000) intents of these names from these queues for a registered process. token is the fence of
-- each attempt. The caller keeps no watermarks: a claim that came back short looks at one more window of each lane, from a random
-- row on, so that other workers' names at the head of a lane hide nothing for good. What is suspected of crashing its process is
-- handed out alone: to a process that holds nothing, which gets nothing else until it has finished it.
create or replace function tributary.claim(process bigint, queues text[], names text[], most integer default 1)
returns table (run_id uuid, token bigint, name text, queue text, attempt smallint, max_attempts smallint, payload jsonb)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_shard smallint;
    v_left integer := least(coalesce(most, 1), 1000);
    v_got integer;
    v_holds integer;
    v_queues text[];
    v_priorities smallint[];
    v_tenants text[];
    v_lows bigint[];
    v_now timestamptz := clock();
begin
    update processes p set beat_at = v_now where p.process_id = claim.process;
    if not found then
        raise exception 'process % is not registered', process
            using errcode = 'TR004', hint = 'call tributary.register_process first; a process that was silent too long registers anew';
    end if;
    -- 1 something, 2 a suspect
    select coalesce(max(case when s.lone_crashes is null then 1 else 2 end), 0) into v_holds
    from generate_series(0, shard_count() - 1) as n(shard)
    join steps s on s.shard = n.shard::smallint and s.state = 'running' and s.process_id = claim.process;
    if v_holds = 2 then
        return;
    elsif v_holds = 0 then
        for v_shard in select s::smallint from generate_series(0, shard_count() - 1) as s order by random() loop
            return query select * from claim_suspect(v_shard, claim.process, claim.queues, claim.names);
            if found then
                return;
            end if;
        end loop;
    end if;
    for v_shard in select s::smallint from generate_series(0, shard_count() - 1) as s order by random() loop
        exit when v_left <= 0;
        perform promote(v_shard, 500);
        for v_pass in 1 .. 2 loop
            select array_agg(l.queue order by l.priority desc), array_agg(l.priority order by l.priority desc),
                   array_agg(l.tenant_id order by l.priority desc),
                   array_agg(case when v_pass = 1 then l.first_seq
                                  else l.first_seq + floor(random() * greatest(clock_us() - l.first_seq, 0))::bigint end order by l.priority desc)
            into v_queues, v_priorities, v_tenants, v_lows
            from find_lanes(v_shard, claim.queues, 64) as l;
            return query
                select c.run_id, c.seq, c.name, c.queue, c.attempt, c.max_attempts, c.payload::jsonb
                from claim_leases(v_shard, claim.process, v_queues, v_priorities, v_tenants, v_lows, claim.names, v_left) as c;
            get diagnostics v_got = row_count;
            v_left := v_left - v_got;
            exit when v_left <= 0 or v_queues is null;
        end loop;
        if v_left > 0 then
            -- bounded housekeeping: what was submitted in the moment in which its name was offered for the first time, and, in fleets
            -- without a single trib worker, what dead processes held
            perform release_waiting(v_shard, 500);
            if not exists (select from workers w where w.beat_at > clock() - interval '1 minute') then
                perform rescue(v_shard, '10 seconds', 100);
            end if;
        end if;
    end loop;
end $$;
