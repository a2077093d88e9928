-- What the event of a change tells: {priority: {old, new}, queue: …, run_after: …}, of what is different only.
create or replace function tributary.changed(
    p_old_priority smallint, p_priority smallint, p_old_queue text, p_queue text, p_old_run_at timestamptz, p_run_at timestamptz
) returns jsonb
language sql stable parallel safe
as $$
    select coalesce(jsonb_object_agg(d.key, jsonb_build_object('old', d.old, 'new', d.new)), '{}')
    from (values ('priority', to_jsonb(p_old_priority), to_jsonb(p_priority)),
                 ('queue', to_jsonb(p_old_queue), to_jsonb(p_queue)),
                 ('run_after', to_jsonb(p_old_run_at), to_jsonb(p_run_at))) as d(key, old, new)
    where d.old is distinct from d.new
$$;
