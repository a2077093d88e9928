-- Public. Sends a signal to a run. The step that has waited longest for one of this name, and for what the payload holds, completes with the
-- payload as its result; while none waits, the signal is kept for the first that will. Each is taken once, in the order in which they
-- came. Under a key a signal is stored once: sent again it is the one that is there. Returns its number in the run, from 1.
-- Locks: root run, then the step. Raises TR001 for a bad name, key or payload, TR002 for a key with another signal, TR003 for an unknown
-- id, TR004 for an intent and when the run has ended.
create or replace function tributary.signal(id uuid, name text, payload jsonb default 'null', key text default null, sender text default null) returns integer
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
#variable_conflict use_variable
declare
    v_shard smallint := shard_of(id);
    v_run runs;
    v_known signals;
    v_number integer;
    v_ordinal integer;
    v_now timestamptz;
    v_sender text := coalesce(sender, session_user);
begin
    perform check_sight(id);
    payload := coalesce(payload, 'null');
    perform check_name('the name of a signal', name);
    if key is not null then
        perform check_name('the key of a signal', key);
    end if;
    perform check_payload('the payload of a signal', payload);
    perform lock_runs(v_shard, array[id]);
    select * into v_run from runs r where r.shard = v_shard and r.run_id = id;
    if not found then
        if exists (select from steps s where s.shard = v_shard and s.run_id = id and s.ordinal = 0) then
            raise exception '% is an intent, and only runs wait for signals', id using errcode = 'TR004', hint = 'list runs: trib list --kind run';
        end if;
        raise exception 'no run has the id %', id using errcode = 'TR003', hint = 'list them: trib list --kind run';
    end if;
    if key is not null then
        select * into v_known from signals g where g.shard = v_shard and g.run_id = id and g.key = signal.key;
        if found and v_known.name <> name then
            raise exception 'the key % belongs to the signal %', quote_literal(key), quote_literal(v_known.name)
                using errcode = 'TR002', hint = 'use another key';
        elsif found then
            return v_known.number;
        end if;
    end if;
    if v_run.state not in ('running', 'paused') then
        raise exception 'run % has ended: it is %', id, v_run.state using errcode = 'TR004', hint = 'nothing of it waits for signals any more';
    end if;
    v_now := clock();
    select w.ordinal into v_ordinal from waits w
    where w.shard = v_shard and w.run_id = id and w.kind = 'signal' and w.signal = name and payload @> coalesce(w.payload, payload)
    order by w.began_at, w.ordinal limit 1;
    insert into signals (run_id, sent_at, taken_at, number, taken_by, shard, tenant_id, name, key, sender, payload)
    values (id, v_now, case when v_ordinal is not null then v_now end,
            coalesce((select g.number from signals g where g.shard = v_shard and g.run_id = id order by g.number desc limit 1), 0) + 1,
            v_ordinal, v_shard, v_run.tenant_id, name, key, v_sender, payload)
    returning number into v_number;
    insert into event_log (run_id, at, shard, tenant_id, type, data)
    values (id, v_now, v_shard, v_run.tenant_id, 'run_signalled', jsonb_strip_nulls(jsonb_build_object('signal', name, 'number', v_number, 'sender', sender)));
    if v_ordinal is not null then
        perform end_waits(v_shard, array[id], array[v_ordinal], array[payload], array[null::jsonb], v_now);
    end if;
    return v_number;
end $$;
