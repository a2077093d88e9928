-- {"queue": "x"} -> {"queue": {"value": "x", "level": p_level}} for the five options that have levels.
-- Concatenated from the weakest level to the strongest, jsonb's || leaves each option with the level it came from.
create or replace function tributary.option_levels(p_options jsonb, p_level text) returns jsonb
language sql immutable parallel safe
as $$
    select case when p_options is null or p_options = '{}' then '{}'::jsonb else coalesce((
        select jsonb_object_agg(o.key, jsonb_build_object('value', o.value, 'level', p_level))
        from jsonb_each(p_options) as o
        where o.key in ('queue', 'priority', 'max_attempts', 'timeout', 'retry') and o.value <> 'null'), '{}') end
$$;
