-- The bit of steps.flags for a step of this hook; 0 for none. Divided by 256 it is that of runs.flags.
create or replace function tributary.hook_bits(p_hook text) returns integer
language sql immutable parallel safe
as $$
    select case p_hook when 'on_success' then 512 when 'on_failure' then 1024 when 'on_cancel' then 2048 when 'finally' then 4096 else 0 end
$$;
