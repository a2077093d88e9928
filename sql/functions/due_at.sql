-- When a step with this run_after may start: seconds count from p_from, text is a time. Null without run_after.
create or replace function tributary.due_at(p_run_after jsonb, p_from timestamptz) returns timestamptz
language sql stable parallel safe
as $$
    select case jsonb_typeof(p_run_after)
               when 'number' then p_from + make_interval(secs => p_run_after::float8)
               when 'string' then (p_run_after #>> '{}')::timestamptz
           end
$$;
