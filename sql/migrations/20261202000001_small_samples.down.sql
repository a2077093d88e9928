do $$
begin
    if to_regclass('pg_catalog.pg_dist_partition') is null then
        alter table steps
            alter column run_id set statistics -1,
            alter column seq set statistics -1,
            alter column process_id set statistics -1,
            alter column created_at set statistics -1,
            alter column run_at set statistics -1,
            alter column claimed_at set statistics -1,
            alter column started_at set statistics -1,
            alter column finished_at set statistics -1,
            alter column ordinal set statistics -1,
            alter column unmet set statistics -1,
            alter column kind set statistics -1,
            alter column state set statistics -1,
            alter column shard set statistics -1,
            alter column priority set statistics -1,
            alter column flags set statistics -1,
            alter column attempt set statistics -1,
            alter column attempt_base set statistics -1,
            alter column max_attempts set statistics -1,
            alter column crashes set statistics -1,
            alter column tenant_id set statistics -1,
            alter column name set statistics -1,
            alter column queue set statistics -1,
            alter column step_id set statistics -1,
            alter column item_key set statistics -1,
            alter column reason set statistics -1,
            alter column lone_crashes set statistics -1,
            alter column expires_at set statistics -1,
            alter column correlated set statistics -1,
            alter column payload set statistics -1,
            alter column result set statistics -1;
    end if;
end $$;
