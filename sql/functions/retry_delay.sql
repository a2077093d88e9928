-- Seconds until the next attempt by the row's policy (options.retry over the default of its kind), jitter included.
-- The same arithmetic as model/retry.py, for workers that bring no delay of their own.
create or replace function tributary.retry_delay(p_kind step_kind, p_options jsonb, p_failures integer) returns float8
language sql volatile
as $$
    select least(
               case policy ->> 'backoff'
                   when 'fixed' then (policy ->> 'delay')::float8
                   when 'quadratic' then (policy ->> 'delay')::float8 * p_failures ^ 2
                   else (policy ->> 'delay')::float8 * (policy ->> 'multiplier')::float8 ^ least(p_failures - 1, 64)
               end,
               -- without a bound of its own five minutes, but never less than the first wait
               coalesce((policy ->> 'max_delay')::float8, greatest(300, (policy ->> 'delay')::float8)))
           * (1 + (policy ->> 'jitter')::float8 * (2 * random() - 1))
    from (select case when p_kind = 'intent'
                      then '{"backoff": "quadratic", "delay": 60, "multiplier": 2, "max_delay": 86400, "jitter": 0.1}'::jsonb
                      else '{"backoff": "exponential", "delay": 1, "multiplier": 2, "jitter": 0.1}'::jsonb end
                 || coalesce(p_options #> '{retry,value}', '{}') as policy) as merged
$$;
