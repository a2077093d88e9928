-- The seq that lies 20,000 available rows past p_from in a lane; null when fewer are left. Moves a worker's watermark over foreign names.
create or replace function tributary.window_end(p_shard smallint, p_queue text, p_priority smallint, p_tenant text, p_from bigint) returns bigint
language sql stable
set search_path to tributary, pg_temp
as $$
    select s.seq from steps s
    where s.shard = p_shard and s.state = 'available' and s.queue = p_queue and s.priority = p_priority
      and s.tenant_id = p_tenant and s.seq >= p_from
    order by s.seq offset 20000 limit 1
$$;
