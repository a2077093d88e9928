-- Whether a child run of this run, or one below that, has not ended: it was retried after its root had ended. It lives with its root, whose
-- row is the lock of all that is done to it. Index: runs_children; one probe where the run has no children.
create or replace function tributary.works_below(p_shard smallint, p_run_id uuid) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set jit to off
as $$
begin
    return exists (
        with recursive below as (
            select c.run_id, c.finished_at from runs c where c.shard = p_shard and c.parent_run_id = p_run_id
            union all
            select c.run_id, c.finished_at from below b join runs c on c.shard = p_shard and c.parent_run_id = b.run_id
        )
        select from below b where b.finished_at is null);
end $$;
