-- Compares what a process holds with what the table says. Returns the tokens that no longer stand (cancelled, rescued);
-- rows that the process owns without holding them (the reply of a claim was lost) are released uncounted.
create or replace function tributary.reconcile(p_shard smallint, p_process bigint, p_run_ids uuid[], p_ordinals integer[], p_seqs bigint[])
returns table (run_id uuid, ordinal integer, seq bigint)
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
#variable_conflict use_column
declare
    v_run_ids uuid[];
    v_ordinals integer[];
    v_seqs bigint[];
begin
    select array_agg(s.run_id), array_agg(s.ordinal), array_agg(s.seq) into v_run_ids, v_ordinals, v_seqs
    from steps s
    where s.shard = p_shard and s.state = 'running' and s.process_id = p_process
      and not exists (select from unnest(p_run_ids, p_ordinals, p_seqs) as h(run_id, ordinal, seq)
                      where h.run_id = s.run_id and h.ordinal = s.ordinal and h.seq = s.seq);
    if v_run_ids is not null then
        perform finish_steps(p_shard, p_process, v_run_ids, v_ordinals, v_seqs, array_fill('released'::text, array[cardinality(v_run_ids)]),
                             null, null, null, null, true, '{}', '{}', 0);
    end if;
    return query
        select h.run_id, h.ordinal, h.seq
        from unnest(p_run_ids, p_ordinals, p_seqs) as h(run_id, ordinal, seq)
        where not exists (select from steps s where s.shard = p_shard and s.run_id = h.run_id and s.ordinal = h.ordinal
                            and s.state = 'running' and s.seq = h.seq);
end $$;
