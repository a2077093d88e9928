-- How long finished runs of a workflow are kept by its newest revision: {days, runs}, null for no rule of its own.
create or replace function tributary.set_keep(p_name text, p_keep jsonb) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    if jsonb_typeof(p_keep) = 'object' and p_keep <> '{}' then
        insert into workflow_keeps as k (name, days, runs) values (p_name, (p_keep ->> 'days')::integer, (p_keep ->> 'runs')::integer)
        on conflict (name) do update set days = excluded.days, runs = excluded.runs
        where (k.days, k.runs) is distinct from (excluded.days, excluded.runs);
    else
        delete from workflow_keeps k where k.name = p_name;
    end if;
end $$;
