-- Public. A dead letter back to work: an intent by its id, a step of a run by run id and step. Raises TR003 when there is none.
create or replace function tributary.requeue(id uuid, step text default null) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
begin
    if not exists (select from dead_letters d where d.shard = shard_of(id) and d.run_id = id and d.step_id is not distinct from step) then
        raise exception 'no dead letter %', id::text || coalesce('/' || step, '') using errcode = 'TR003', hint = 'list them: trib dlq list';
    end if;
    return retry(id, case when step is not null then array[step] end);
end $$;
