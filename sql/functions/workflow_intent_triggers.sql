create or replace trigger workflow_intent_insert instead of insert on tributary.workflow_intent
    for each row execute function tributary.workflow_intent_insert();
create or replace trigger workflow_intent_refuse instead of update or delete on tributary.workflow_intent
    for each row execute function tributary.workflow_intent_refuse();
