-- Takes or renews the lease of a role; true while p_worker holds it. A lease that ends far in the future is older than the last change
-- of the server's clock: its holder, if it lived, would have renewed it since. Whoever finds that another leads writes and locks nothing: all
-- workers ask every two seconds, and a lock on that one row, kept until its commit is flushed, would let them pass one by one.
create or replace function tributary.lead(p_role text, p_worker bigint, p_seconds float8) returns boolean
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
begin
    if exists (select from leaders l where l.role = p_role and l.worker_id <> p_worker
                 and l.expires_at between clock_timestamp() and clock_timestamp() + make_interval(secs => 2 * p_seconds)) then
        return false;
    end if;
    insert into leaders as l (role, worker_id, expires_at)
    values (p_role, p_worker, clock_timestamp() + make_interval(secs => p_seconds))
    on conflict (role) do update set worker_id = excluded.worker_id, expires_at = excluded.expires_at
    where l.worker_id = excluded.worker_id or l.expires_at not between clock_timestamp() and clock_timestamp() + make_interval(secs => 2 * p_seconds);
    return found;
end $$;
