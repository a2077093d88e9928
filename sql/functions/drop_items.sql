-- Forgets the items of these fan-outs of an ended run, which are to run as a whole again. The caller holds the root run's lock.
create or replace function tributary.drop_items(p_shard smallint, p_run_id uuid, p_ordinals integer[]) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
set plan_cache_mode to force_custom_plan
as $$
declare
    v_items integer[] := array(
        select i.ordinal
        from steps f
        join edges e on e.shard = p_shard and e.run_id = p_run_id and e.child = f.ordinal
        join steps i on i.shard = p_shard and i.run_id = p_run_id and i.ordinal = e.parent
        where f.shard = p_shard and f.run_id = p_run_id and f.ordinal = any (p_ordinals) and f.name = 'trib.fan.v1' and i.flags & 256 = 256);
begin
    if cardinality(v_items) > 0 then
        delete from edges e where e.shard = p_shard and e.run_id = p_run_id and e.parent = any (v_items);
        delete from payloads p where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (v_items);
        delete from dead_letters d where d.shard = p_shard and d.run_id = p_run_id and d.ordinal = any (v_items);
        -- pruning finds these by the rows of steps
        delete from attempts a where a.shard = p_shard and a.run_id = p_run_id and a.ordinal = any (v_items);
        delete from progress p where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (v_items);
        delete from steps s where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (v_items);
    end if;
    update steps s set flags = s.flags & ~(8192 | 16384) where s.shard = p_shard and s.run_id = p_run_id and s.ordinal = any (p_ordinals);
    delete from progress p where p.shard = p_shard and p.run_id = p_run_id and p.ordinal = any (p_ordinals);
end $$;
