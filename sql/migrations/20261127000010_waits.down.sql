-- what waits begins its wait anew, once there is a release again that has it
update steps s
set state = (case when s.flags & 64 = 64 then 'waiting' else 'available' end)::step_state, attempt = s.attempt - 1, started_at = null,
    reason = case when s.flags & 64 = 64 then 'paused' end, seq = greatest(s.seq + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint)
from waits w
where w.shard = s.shard and w.run_id = s.run_id and w.ordinal = s.ordinal;
drop table signals;
drop table waits;
