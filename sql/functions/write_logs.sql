-- Stores chunks of what attempts said, and takes away the chunks p_drop_from .. p_drop_to of the same attempts, whose place they take
-- (null: none). A chunk without entries only does that. A chunk that is there already is left as it is: a write whose reply was lost is repeated. What belongs to no row of
-- steps any more is left out. No fence: what a stale attempt said is marked by its seq.
-- Locks: none but those of the rows it writes. Index: log_chunks_pkey, steps_pkey, one look-up per chunk.
create or replace function tributary.write_logs(
    p_shard smallint, p_ids uuid[], p_ordinals integer[], p_seqs bigint[], p_attempts smallint[], p_parts integer[],
    p_lines_before bigint[], p_bytes_before bigint[], p_lines integer[], p_bytes integer[], p_entries text[],
    p_drop_from integer[], p_drop_to integer[]
) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_generic_plan
set enable_hashjoin to off
set enable_mergejoin to off
set enable_seqscan to off
set enable_bitmapscan to off
set enable_sort to off
set jit to off
as $$
declare
    v_at timestamptz := clock();
    v_gone tid[];
begin
    v_gone := array(
        select g.tid
        from unnest(p_ids, p_ordinals, p_seqs, p_drop_from, p_drop_to) as u(id, ordinal, seq, first, last)
        cross join lateral (
            select c.ctid as tid from log_chunks c
            where c.shard = p_shard and c.run_id = u.id and c.ordinal = u.ordinal and c.seq = u.seq
              and c.part between u.first and u.last
            offset 0
        ) as g
        where u.first is not null);
    if cardinality(v_gone) > 0 then
        perform delete_log_rows(p_shard, v_gone);
    end if;
    insert into log_chunks (run_id, seq, at, lines_before, bytes_before, ordinal, part, lines, bytes, shard, attempt, tenant_id,
                            entries)
    select u.id, u.seq, v_at, u.lines_before, u.bytes_before, u.ordinal, u.part, u.lines, u.bytes, p_shard, u.attempt,
           s.tenant_id, u.entries::json
    from unnest(p_ids, p_ordinals, p_seqs, p_attempts, p_parts, p_lines_before, p_bytes_before, p_lines, p_bytes, p_entries)
        as u(id, ordinal, seq, attempt, part, lines_before, bytes_before, lines, bytes, entries)
    cross join lateral (
        select s.tenant_id from steps s where s.shard = p_shard and s.run_id = u.id and s.ordinal = u.ordinal offset 0
    ) as s
    where u.entries is not null
    on conflict do nothing;
end $$;
