-- Public. A dead letter back to work: an intent by its id, a step of a run by run id and step, an item of a fan-out by STEP[KEY]. Raises
-- TR003 when there is none.
create or replace function tributary.requeue(id uuid, step text default null) returns text
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
begin
    perform check_sight(id);
    if not exists (
            select from dead_letters d left join steps s on s.shard = d.shard and s.run_id = d.run_id and s.ordinal = d.ordinal
            where d.shard = shard_of(id) and d.run_id = id
              and (d.step_id is not distinct from step or d.step_id || '[' || s.item_key || ']' = step)) then
        raise exception 'no dead letter %', id::text || coalesce('/' || step, '') using errcode = 'TR003', hint = 'list them: trib dlq list';
    end if;
    return case when step is null then retry(id) else requeue_steps(id, array[step]) end;
end $$;
