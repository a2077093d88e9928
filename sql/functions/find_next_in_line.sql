-- In which of these lanes (queue, priority, tenant), that a process is about to claim from in this order, it may go on with what its own ends release: a
-- step that becomes ready goes on where it would be claimed first anyhow, or was recorded before all that waits in its lane has become
-- ready (befores). Lanes before the first in which something waits hold nothing; in that one its head decides; those behind it are left out.
-- Foreign names wait as well: what nobody here may run holds its lane up for this, never for claims. waits: something does, in any of them.
-- Index: steps_ready, a probe per lane up to that first one, each from where lock_lanes begins.
create or replace function tributary.find_next_in_line(
    p_shard smallint, p_queues text[], p_priorities smallint[], p_tenants text[], p_lows bigint[],
    out queues text[], out priorities smallint[], out tenants text[], out befores bigint[], out waits boolean
)
language plpgsql volatile
set search_path to tributary, pg_temp
set enable_seqscan to off
set enable_bitmapscan to off
-- of a table that was analyzed while it was nearly empty any index seems as good as the one that has this order
set enable_sort to off
set jit to off
as $$
declare
    v_fresh bigint := clock_us() - 100000;
    v_at integer;
    v_head bigint;
begin
    select lane.i, head.seq into v_at, v_head
    from unnest(p_queues, p_priorities, p_tenants, p_lows) with ordinality as lane(queue, priority, tenant_id, low, i)
    cross join lateral (
        select s.seq from steps s
        where s.shard = p_shard and s.state = 'available' and s.queue = lane.queue
          and s.priority = lane.priority and s.tenant_id = lane.tenant_id and s.seq >= least(lane.low, v_fresh)
        order by s.seq limit 1
    ) as head
    limit 1;
    v_at := coalesce(v_at, cardinality(p_queues));
    queues := p_queues[:v_at];
    priorities := p_priorities[:v_at];
    tenants := p_tenants[:v_at];
    befores := array_fill(9223372036854775807, array[v_at]);
    waits := v_head is not null;
    if waits then
        befores[v_at] := v_head;
    end if;
end $$;
