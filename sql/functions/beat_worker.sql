-- The one statement of an idle supervisor: beats for the worker and its processes, keeps what these say of themselves, and tells whether
-- there is work, when the next is due, and what an operator wants. The arrays run beside p_processes; null in them: nothing new.
create or replace function tributary.beat_worker(
    p_worker bigint, p_state text, p_wanted integer, p_wants_wake boolean, p_queues text[],
    p_processes bigint[], p_slots integer[], p_rss bigint[], p_current jsonb[]
) returns table (alive boolean, beaten integer, ready text[], due_in float8, paused text[], command text, now timestamptz)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
as $$
#variable_conflict use_column
declare
    v_beat record;
    v_command text;
begin
    -- what a crash of the server takes of it, the next beat brings; and a thousand workers at rest wait for no flush
    perform set_config('synchronous_commit', 'off', true);
    -- rarely true, and bounded by its caller: each is a second version of the row
    update processes p
    set slots = coalesce(v.slots, p.slots), rss = coalesce(v.rss, p.rss), current = coalesce(v.current, p.current)
    from unnest(p_processes, p_slots, p_rss, p_current) as v(id, slots, rss, current)
    where p.process_id = v.id and (v.slots is not null or v.rss is not null or v.current is not null);
    update workers w set processes = p_wanted where w.worker_id = p_worker and w.processes is distinct from p_wanted;
    select * into v_beat from supervise(p_worker, p_processes, p_queues, p_wants_wake, p_state);
    -- read last: whoever commands meanwhile has the row locked, and the beat above waited for it
    select w.command into v_command from workers w where w.worker_id = p_worker;
    return query select v_beat.alive, v_beat.beaten, v_beat.ready, v_beat.due_in, v_beat.paused, v_command, clock();
end $$;
