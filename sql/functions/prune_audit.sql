-- Removes audit rows whose time is over, at most p_limit; returns how many. With the owner's rights, as no role may delete them otherwise.
-- Locks: the rows by SKIP LOCKED. Index: audit_log_expired.
create or replace function tributary.prune_audit(p_shard smallint, p_limit integer) returns integer
language plpgsql volatile security definer
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_seqscan to off
set enable_sort to off
set jit to off
as $$
declare
    v_now timestamptz := clock();
    v_gone integer;
begin
    delete from audit_log a
    where a.shard = p_shard and a.ctid = any (array(
        select o.ctid from audit_log o
        where o.shard = p_shard and o.keep_until < v_now order by o.keep_until limit p_limit for update skip locked));
    get diagnostics v_gone = row_count;
    return v_gone;
end $$;
