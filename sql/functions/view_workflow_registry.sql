-- Public. Names of handlers; an operator may change runtime, is_enabled and description. A disabled name is not claimed.
create or replace view tributary.workflow_registry with (security_invoker = true) as
select name as workflow_name, runtime, is_enabled, description, options, input_schema, output_schema, offered_at, updated_at
from tributary.registry;
