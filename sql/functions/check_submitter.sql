-- Refuses what only those may submit who could write the rows themselves (workers, admins, the owner): built-in handlers that act with
-- the rights of a worker (its database login, its network, its shell), payloads in the place of a workflow's own, work for the private
-- queue of somebody's `trib run`. Called only where one of these is asked for. Locks: none.
create or replace function tributary.check_submitter(p_name text, p_config jsonb, p_foreign boolean) returns void
language plpgsql stable
set search_path to tributary, pg_temp
as $$
begin
    if not only_submits() then
        return;
    elsif p_foreign then
        raise exception 'role % may not submit work for a private queue, nor payloads in the place of a workflow''s own', quote_literal(invoker_name())
            using errcode = '42501', hint = 'submit intents and registered workflows by their names, or use the role of an admin';
    elsif starts_with(p_name, 'trib.') and p_name not in ('trib.noop.v1', 'trib.sleep.v1', 'trib.fail.v1') then
        raise exception 'role % may not submit %, which acts with the rights of a worker', quote_literal(invoker_name()), quote_literal(p_name)
            using errcode = '42501', hint = 'put it into a workflow that an admin registers, and submit that';
    end if;
    perform check_options(p_config);
end $$;
