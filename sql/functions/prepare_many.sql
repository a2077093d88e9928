-- Resolves options once for many intents of one name, which the client then writes by COPY.
create or replace function tributary.prepare_many(
    p_name text, p_submit jsonb, p_config jsonb, p_run_at timestamptz, p_tenant text
) returns table (
    shards integer, queue text, priority smallint, max_attempts smallint, options jsonb,
    state step_state, reason text, first_seq bigint, now timestamptz, wanted boolean
)
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_now timestamptz := clock();
    v_handler jsonb;
    v_known boolean := false;
    v_options jsonb;
begin
    perform check_name('an intent''s name', p_name);
    perform check_options(p_submit);
    select r.options, true into v_handler, v_known from registry r where r.name = p_name and r.offered_at is not null;
    v_options := resolve_options(null, p_submit, v_handler, null, p_config);
    perform check_name('a queue''s name', coalesce(v_options #>> '{queue,value}', 'default'));
    return query select
        shard_count(), coalesce(v_options #>> '{queue,value}', 'default'),
        coalesce((v_options #>> '{priority,value}')::smallint, 0::smallint),
        coalesce((v_options #>> '{max_attempts,value}')::smallint, builtin_attempts(p_name)),
        nullif(v_options, '{}'),
        case when v_known is not true then 'waiting'::step_state when p_run_at > v_now then 'scheduled' else 'available' end,
        case when v_known is not true then 'no_handler' end,
        clock_us(), v_now, exists (select from workers w where w.wants_wake);
end $$;
