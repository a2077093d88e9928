-- The bits of steps.flags for a step of this hook; 0 for none. Divided by 256 they are those of runs.flags, but for undo, which is no hook of
-- a plan: its steps are made when it begins.
create or replace function tributary.hook_bits(p_hook text) returns integer
language sql immutable parallel safe
as $$
    select case p_hook when 'on_success' then 512 when 'on_failure' then 1024 when 'on_cancel' then 2048 when 'finally' then 4096
                       when 'undo' then 1536 else 0 end
$$;
