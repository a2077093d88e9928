-- For members of concurrency groups of one run that wait: who holds the slots, and how many wait before them.
-- Locks: none.
-- Index: group_slots_pkey, group_slots_by_group, groups_pkey, runs_pkey, steps_pkey.
-- Caller: store.groups.standing
select w.ordinal, w.name, g.slots, w.ousted,
       (select count(*) from tributary.group_slots as b
        where b.tenant_id = w.tenant_id and b.name = w.name and b.state = 'waiting' and not b.ousted and b.rank < w.rank)::integer as before,
       coalesce((select jsonb_agg(jsonb_build_object('id', h.run_id, 'step', s.step_id, 'name', r.name, 'since', h.held_at) order by h.rank)
                 from (select * from tributary.group_slots as m
                       where m.tenant_id = w.tenant_id and m.name = w.name and m.state = 'held' order by m.rank limit 20) as h
                 left join tributary.runs as r on r.shard = h.shard and r.run_id = h.run_id
                 left join tributary.steps as s on s.shard = h.shard and s.run_id = h.run_id and s.ordinal = h.ordinal), '[]') as holders,
       w.entered_at
from tributary.group_slots as w
left join tributary.groups as g on g.tenant_id = w.tenant_id and g.name = w.name
where w.shard = tributary.shard_of(%(id)s::uuid) and w.run_id = %(id)s::uuid and w.state = 'waiting'
order by w.ordinal
limit 200
