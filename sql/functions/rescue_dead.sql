-- Gives back what belongs to processes that stopped beating: running rows whose process is missing or silent for p_lease.
-- An anti-join over steps_running, never an event on worker rows. Returns how many attempts were taken
-- from the dead; what ended while this waited for its row is none of them.
-- A beat from the future is older than the last change of the server's clock: who lives has beaten again since. p_expected is what the
-- caller takes the time to be, from its last beat: a clock that has jumped since then makes nobody look dead. Null for none.
create or replace function tributary.rescue_dead(p_shard smallint, p_lease interval, p_limit integer, p_expected timestamptz) returns integer
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_run_ids uuid[];
    v_ordinals integer[];
    v_seqs bigint[];
    v_count integer;
begin
    -- unlocked: finish_steps takes the locks in their order and fences each token
    select array_agg(dead.run_id), array_agg(dead.ordinal), array_agg(dead.seq) into v_run_ids, v_ordinals, v_seqs
    from (
        select s.run_id, s.ordinal, s.seq from steps s
        where s.shard = p_shard and s.state = 'running'
          and not exists (select from processes p where p.process_id = s.process_id
                            and (p.beat_at between clock() - p_lease and clock() + p_lease
                                 or p.beat_at between p_expected - p_lease and p_expected + p_lease))
        limit p_limit
    ) as dead;
    v_count := coalesce(cardinality(v_run_ids), 0);
    if v_count > 0 then
        select v_count - count(*) into v_count
        from finish_steps(p_shard, null, v_run_ids, v_ordinals, v_seqs, array_fill('crashed'::text, array[v_count]),
                          null, null, null, null, true, '{}', '{}', 0);
    end if;
    return v_count;
end $$;
