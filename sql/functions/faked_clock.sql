-- The time that tributary.fake_now names. Whoever could set the clock for others decides what is due, expired and pruned: only the owner of
-- the schema (tests) may.
create or replace function tributary.faked_clock() returns timestamptz
language plpgsql volatile parallel safe
set search_path to tributary, pg_temp
as $$
begin
    if not pg_has_role(invoker_name(), (select n.nspowner from pg_namespace n where n.nspname = 'tributary'), 'usage') then
        raise exception 'role % may not fake the clock', quote_literal(invoker_name())
            using errcode = '42501', hint = 'reset tributary.fake_now; tests connect as the owner of the schema';
    end if;
    return current_setting('tributary.fake_now')::timestamptz;
end $$;
