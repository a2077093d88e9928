-- Notes which work of a schedule has ended, and forgets all but the last 1,000 slots; what waits or is not finished stays.
-- Done with one slot in fifty.
create or replace function tributary.trim_fires(p_name text) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    update schedule_fires f set unfinished = false
    where f.schedule = p_name and f.unfinished
      and not exists (select from runs r where r.shard = shard_of(f.run_id) and r.run_id = f.run_id and r.state in ('running', 'paused'))
      and not exists (select from steps s
                      where s.shard = shard_of(f.run_id) and s.run_id = f.run_id and s.ordinal = 0 and s.kind = 'intent'
                        and s.state not in ('completed', 'skipped', 'cancelled', 'discarded'));
    delete from schedule_fires f
    where f.schedule = p_name and not f.unfinished and f.outcome <> 'queued'
      and f.slot < (select k.slot from schedule_fires k where k.schedule = p_name order by k.slot desc offset 999 limit 1);
end $$;
