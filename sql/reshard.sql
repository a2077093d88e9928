-- Spreads all rows over another number of shards, given in braces by `trib migrate shards`: one transaction, as the owner of the schema.
-- The slot of an id, its last 12 bits, leads to its shard; keys go where the slot of the key leads. Rows that are right stay untouched, so
-- that it can be done again for what a transaction under way has recorded by the number before. Not a function: nobody else may.
-- Locks: all tables with rows of shards, so that nobody records by the number before meanwhile. First meta, where everybody reads that number.

set local statement_timeout = 0;
set local jit = off;
lock table tributary.meta in access exclusive mode;
lock table tributary.workers, tributary.processes in share mode;
lock table tributary.runs, tributary.steps, tributary.payloads, tributary.edges, tributary.attempts, tributary.event_log, tributary.dead_letters, tributary.progress,
    tributary.log_chunks, tributary.waits, tributary.signals, tributary.history, tributary.correlations, tributary.audit_log, tributary.step_cache, tributary.awaited, tributary.group_slots, tributary.queue_slots, tributary.keys, tributary.unique_keys in access exclusive mode;

do $$
declare
    v_live text;
begin
    select string_agg(distinct live.name, ', ') into v_live
    from (select w.name from tributary.workers w where w.beat_at > tributary.clock() - interval '12 seconds'
          union all
          select p.name from tributary.processes p where p.beat_at > tributary.clock() - interval '12 seconds'
            and not exists (select from tributary.workers w where w.worker_id = p.worker_id)) as live;
    if v_live is not null then
        raise exception 'the number of shards cannot change while workers are at work: %', v_live
            using errcode = 'TR004', hint = 'stop them first: trib workers drain NAME, or the service; killed ones count for 12 seconds';
    end if;
end $$;

update tributary.runs set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.steps set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.payloads set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.edges set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.attempts set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.event_log set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.dead_letters set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.progress set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.log_chunks set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.waits set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.signals set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.history set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.correlations set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.audit_log set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.step_cache set shard = (('x' || right(key, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(key, 3))::bit(12)::integer % {shards};

update tributary.awaited set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.group_slots set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.queue_slots set shard = (('x' || right(run_id::text, 3))::bit(12)::integer % {shards})::smallint
where shard <> ('x' || right(run_id::text, 3))::bit(12)::integer % {shards};

update tributary.keys set shard = (tributary.slot_of_key(tenant_id, key) % {shards})::smallint
where shard <> tributary.slot_of_key(tenant_id, key) % {shards};

update tributary.unique_keys set shard = (tributary.slot_of_key(tenant_id, name || E'\x1f' || key) % {shards})::smallint
where shard <> tributary.slot_of_key(tenant_id, name || E'\x1f' || key) % {shards};

insert into tributary.meta (key, value) values ('shards', {shards}::text)
on conflict (key) do update set value = excluded.value;
