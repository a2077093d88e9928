-- A rate as set_queue takes it: 100/s, 5000/h, 1/90s; null for none.
create or replace function tributary.rate_text(p_rate integer, p_per integer) returns text
language sql immutable parallel safe
as $$
    select p_rate || '/' || case p_per when 1 then 's' when 60 then 'm' when 3600 then 'h' when 86400 then 'd' else p_per || 's' end
$$;
