-- What a bucket of tokens holds now: one more every 1/rate seconds, up to what a second brings, and one at least.
create or replace function tributary.queue_tokens(p_tokens float8, p_filled_at timestamptz, p_rate float8, p_now timestamptz) returns float8
language sql immutable parallel safe
as $$
    select least(greatest(1, p_rate), p_tokens + p_rate * greatest(0, extract(epoch from p_now - p_filled_at)::float8))
$$;
