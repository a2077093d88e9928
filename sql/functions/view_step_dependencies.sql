-- Public. Edges of runs: step_id needs depends_on.
create or replace view tributary.step_dependencies with (security_invoker = true) as
select e.run_id, child.step_id, parent.step_id as depends_on, e.child as ordinal, e.parent as depends_on_ordinal
from tributary.edges e
join tributary.steps child on child.shard = e.shard and child.run_id = e.run_id and child.ordinal = e.child
join tributary.steps parent on parent.shard = e.shard and parent.run_id = e.run_id and parent.ordinal = e.parent;
