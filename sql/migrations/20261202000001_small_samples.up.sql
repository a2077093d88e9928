-- Autovacuum analyzes the steps of a busy database after each vacuum, every quarter of a minute: for three quarters of a second, in which its
-- snapshot keeps everything dead in the indexes, and what claims pass by takes twenty times as long. A fifth of the sample takes a
-- seventh of the time. Plans of the hot path do not follow statistics (docs/decisions/0005-one-plan.md), those of lists follow which
-- states and names are frequent, and nothing is searched by payload or result.
do $$
begin
    -- Citus refuses this for what it has distributed; its shards are tables of their own, and smaller
    if to_regclass('pg_catalog.pg_dist_partition') is null then
        alter table steps
            alter column run_id set statistics 20,
            alter column seq set statistics 20,
            alter column process_id set statistics 20,
            alter column created_at set statistics 20,
            alter column run_at set statistics 20,
            alter column claimed_at set statistics 20,
            alter column started_at set statistics 20,
            alter column finished_at set statistics 20,
            alter column ordinal set statistics 20,
            alter column unmet set statistics 20,
            alter column kind set statistics 20,
            alter column state set statistics 20,
            alter column shard set statistics 20,
            alter column priority set statistics 20,
            alter column flags set statistics 20,
            alter column attempt set statistics 20,
            alter column attempt_base set statistics 20,
            alter column max_attempts set statistics 20,
            alter column crashes set statistics 20,
            alter column tenant_id set statistics 20,
            alter column name set statistics 20,
            alter column queue set statistics 20,
            alter column step_id set statistics 20,
            alter column item_key set statistics 20,
            alter column reason set statistics 20,
            alter column lone_crashes set statistics 20,
            alter column expires_at set statistics 20,
            alter column correlated set statistics 20,
            alter column payload set statistics 0,
            alter column result set statistics 0;
    end if;
end $$;
