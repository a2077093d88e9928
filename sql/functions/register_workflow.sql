-- Gives a workflow's name a revision, and makes its schedules those of the revision. Returns created, unchanged or revised.
create or replace function tributary.register_workflow(p_name text, p_revision uuid, p_description text) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_before uuid;
    v_now timestamptz;
begin
    perform check_name('a workflow''s name', p_name);
    perform set_keep(p_name, (select r.plan -> 'keep' from revisions r where r.revision_id = p_revision));
    insert into workflows (name, revision_id, description, registered_at)
    values (p_name, p_revision, p_description, clock())
    on conflict (name) do nothing;
    if found then
        perform keep_schedules(p_name, (select r.plan -> 'schedule' from revisions r where r.revision_id = p_revision));
        return 'created';
    end if;
    select w.revision_id into v_before from workflows w where w.name = p_name for update;
    perform keep_schedules(p_name, (select r.plan -> 'schedule' from revisions r where r.revision_id = p_revision));
    if v_before = p_revision then
        return 'unchanged';
    end if;
    v_now := clock();
    update workflows w set revision_id = p_revision, description = p_description, registered_at = v_now
    where w.name = p_name;
    return 'revised';
end $$;
