-- Keeps the exact source of a workflow and its resolved spec, once per content.
create or replace function tributary.save_revision(p_name text, p_hash text, p_source text, p_plan jsonb) returns uuid
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_id uuid := left(p_hash, 32)::uuid;
begin
    perform check_name('a workflow''s name', p_name);
    if not exists (select from revisions r where r.revision_id = v_id) then
        insert into revisions (revision_id, created_at, hash, name, source, plan)
        values (v_id, clock(), p_hash, p_name, p_source, p_plan)
        on conflict (revision_id) do nothing;
        perform set_keep(p_name, p_plan -> 'keep');
    end if;
    return v_id;
end $$;
