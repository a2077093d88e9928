-- INSTEAD OF INSERT on workflow_intent: records the intent and completes the row for RETURNING.
create or replace function tributary.workflow_intent_insert() returns trigger
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
declare
    v_row record;
    v_tenant text := tenant_to_submit(new.tenant_id);
begin
    if only_submits() then
        perform spend_submits(1);
    end if;
    if new.payload is null then
        raise exception 'payload must not be null' using errcode = 'TR001', hint = 'an intent without data has the payload {}';
    elsif new.status is not null and new.status <> 'pending' then
        raise exception 'a new intent is pending, not %', quote_literal(new.status) using errcode = 'TR001', hint = 'leave status out';
    elsif new.intent_id is not null and session_tenants() is not null then
        -- whether the id is another tenant's could be told from the answer
        raise exception 'an intent of a session that acts for tenants chooses its id itself' using errcode = 'TR001', hint = 'leave intent_id out';
    elsif exists (select from runs r where r.shard = shard_of(new.intent_id) and r.run_id = new.intent_id) then
        raise exception 'a run has the id % already', new.intent_id using errcode = 'TR001', hint = 'leave intent_id out';
    elsif new.intent_id is not null and new.idempotency_key is not null
          and shard_of(new.intent_id) <> (slot_of_key(v_tenant, new.idempotency_key) % shard_count()) then
        raise exception 'an intent with an idempotency key chooses its id itself' using errcode = 'TR001', hint = 'leave intent_id out';
    elsif new.max_attempts not between 1 and 32000 then
        raise exception 'max_attempts must be 1 to 32000, not %', new.max_attempts using errcode = 'TR001';
    elsif new.priority not between -31900 and 32100 then
        raise exception 'priority must be -31900 to 32100, not %', new.priority using errcode = 'TR001';
    end if;
    select * into v_row from submit_row(
        new.name, new.payload, new.idempotency_key,
        jsonb_strip_nulls(jsonb_build_object('priority', 100 - new.priority, 'max_attempts', new.max_attempts)),
        null, new.run_after, v_tenant, null, new.intent_id);
    select * into new from workflow_intent w where w.intent_id = v_row.run_id;
    return new;
end $$;
