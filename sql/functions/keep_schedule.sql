-- Adds a schedule, or changes the one of that name: paused stays paused, disabled gets another chance, and the next slot stays where it is
-- unless the times changed. Returns created, changed or unchanged. p_workflow: the workflow whose registration asks for it.
-- Locks: the schedule's row.
create or replace function tributary.keep_schedule(
    p_name text, p_tenant text, p_kind text, p_target text, p_cron text, p_timezone text, p_payload jsonb, p_options jsonb, p_labels jsonb,
    p_overlap text, p_catchup float8, p_jitter float8, p_paused boolean, p_workflow text
) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz := clock();
    v_new schedules;
    v_old schedules;
begin
    perform check_name('a schedule''s name', p_name);
    if length(p_name) > 200 then
        -- the keys of its slots hold it
        raise exception 'a schedule''s name must have at most 200 characters, not %', length(p_name) using errcode = 'TR001', hint = 'names look like nightly';
    end if;
    perform check_name(case p_kind when 'run' then 'a workflow''s name' else 'an intent''s name' end, p_target);
    perform check_payload('the payload', p_payload);
    perform check_options(p_options);
    if p_overlap is null or p_overlap not in ('skip', 'queue', 'allow') then
        raise exception 'overlap must be skip, queue or allow, not %', coalesce(quote_literal(left(p_overlap, 40)), 'null') using errcode = 'TR001';
    elsif not coalesce(p_catchup between 0 and 316224000, false) or not coalesce(p_jitter between 0 and 316224000, false) then
        raise exception 'catchup and jitter must lie between 0 and ten years' using errcode = 'TR001', hint = 'the longest catch-up and jitter are given in seconds';
    elsif coalesce(trim(p_cron), '') = '' or length(p_cron) > 1000 or p_timezone is null or length(p_timezone) > 100 then
        raise exception 'a schedule needs a cron expression and a time zone' using errcode = 'TR001', hint = '*/5 * * * * and Europe/Berlin, for example';
    elsif jsonb_typeof(p_labels) <> 'object' then
        raise exception 'labels must be a JSON object, not %', jsonb_typeof(p_labels) using errcode = 'TR001', hint = 'labels look like {"team": "billing"}';
    elsif p_kind = 'run' and jsonb_typeof(p_payload) <> 'object' then
        raise exception 'inputs must be a JSON object, not %', jsonb_typeof(p_payload) using errcode = 'TR001', hint = 'inputs look like {"email": "a@example.org"}';
    end if;
    insert into schedules (name, created_at, updated_at, since, next_at, catchup, jitter, tenant_id, kind, target, cron, timezone, overlap,
                           state, workflow, payload, options, labels)
    values (p_name, v_now, v_now, v_now, v_now, p_catchup, p_jitter, p_tenant, p_kind, p_target, p_cron, p_timezone, p_overlap,
            case when p_paused then 'paused' else 'active' end, p_workflow, p_payload, p_options, p_labels)
    on conflict (name) do nothing;
    if found then
        return 'created';
    end if;
    select s.* into v_old from schedules s where s.name = p_name for update;
    if not found then
        -- it was removed in this very moment
        return keep_schedule(p_name, p_tenant, p_kind, p_target, p_cron, p_timezone, p_payload, p_options, p_labels, p_overlap, p_catchup,
                             p_jitter, p_paused, p_workflow);
    elsif v_old.workflow is distinct from p_workflow or v_old.tenant_id <> p_tenant then
        raise exception 'there is a schedule named % already%', quote_literal(p_name),
                case when v_old.workflow is not null then ', kept by the registration of workflow ' || v_old.workflow
                     when p_workflow is not null then ', added by hand' else '' end
            using errcode = 'TR004', hint = case when v_old.workflow is not null then 'use another name, or change the workflow''s `schedule` and register it again'
                                                 else 'remove it first: trib schedule remove ' || p_name end;
    end if;
    v_new := v_old;
    v_new.kind := p_kind; v_new.target := p_target; v_new.cron := p_cron; v_new.timezone := p_timezone; v_new.payload := p_payload;
    v_new.options := p_options; v_new.labels := p_labels; v_new.overlap := p_overlap; v_new.catchup := p_catchup; v_new.jitter := p_jitter;
    v_new.state := case when p_paused then 'paused' when v_old.state = 'disabled' then 'active' else v_old.state end;
    v_new.error := case when v_new.state = 'disabled' then v_old.error end;
    if v_new is not distinct from v_old then
        return 'unchanged';
    end if;
    if (v_new.cron, v_new.timezone) <> (v_old.cron, v_old.timezone) or v_new.state <> v_old.state then
        v_new.since := v_now; v_new.next_slot := null; v_new.next_at := v_now;
    elsif v_new.jitter <> v_old.jitter then
        -- the leader computes when the next slot is due
        v_new.next_at := least(v_old.next_at, v_now);
    end if;
    update schedules s
    set kind = v_new.kind, target = v_new.target, cron = v_new.cron, timezone = v_new.timezone, payload = v_new.payload, options = v_new.options,
        labels = v_new.labels, overlap = v_new.overlap, catchup = v_new.catchup, jitter = v_new.jitter, state = v_new.state, error = v_new.error,
        since = v_new.since, next_slot = v_new.next_slot, next_at = v_new.next_at, version = s.version + 1, updated_at = v_now
    where s.name = p_name;
    return 'changed';
end $$;
