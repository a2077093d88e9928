-- Public. Limits a tenant over all workers and queues: how many of its attempts run at once, and how many start in a span of time ('100/s').
-- What is null stays as it is; concurrency 0 and rate 'none' take a limit away. Holds for every claim from its commit on, whatever
-- runs already counts. Returns the limits as they are now. Locks: the tenant's row and its counter.
create or replace function tributary.set_tenant(name text, concurrency integer default null, rate text default null)
returns table (tenant text, max_running integer, max_rate text)
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_key constant text := 'tenant:' || name;
    v_limit tenants;
    v_rate integer[];
begin
    if name <> '' then
        perform check_name('a tenant''s name', name);
    end if;
    if concurrency < 0 then
        raise exception 'a tenant cannot run % attempts at once', concurrency using errcode = 'TR001', hint = '1 or more, 0 for no limit';
    elsif rate <> 'none' then
        v_rate := read_rate(rate);
        if v_rate[1] = 0 then
            raise exception 'a rate of 0 would let nothing start' using errcode = 'TR001', hint = 'a rate is at least 1 in its span';
        end if;
    end if;
    select * into v_limit from tenants t where t.tenant_id = name for update;
    v_limit.tenant_id := name;
    if concurrency is not null then
        v_limit.concurrency := nullif(concurrency, 0);
    end if;
    if rate is not null then
        v_limit.rate := v_rate[1];
        v_limit.rate_per := v_rate[2];
    end if;
    if v_limit.concurrency is null and v_limit.rate is null then
        delete from tenants t where t.tenant_id = name;
        delete from queue_counters c where c.queue = v_key;
    else
        insert into tenants as t select v_limit.*
        on conflict on constraint tenants_pkey do update
        set concurrency = excluded.concurrency, rate = excluded.rate, rate_per = excluded.rate_per;
        -- as set_queue: a claim that began before this commits takes no slot, so for two minutes they are looked for
        insert into queue_counters as c (queue, tokens, filled_at, census_until)
        values (v_key, greatest(1, v_limit.rate::float8 / v_limit.rate_per), clock(), clock_timestamp() + interval '2 minutes')
        on conflict on constraint queue_counters_pkey do update
        set census_until = excluded.census_until,
            tokens = case when set_tenant.rate is null then c.tokens else excluded.tokens end,
            filled_at = case when set_tenant.rate is null then c.filled_at else excluded.filled_at end;
    end if;
    if v_limit.concurrency is null then
        delete from queue_slots k where k.queue = v_key;
    end if;
    perform wake_freed(array[v_key]);
    return query select v_limit.tenant_id, v_limit.concurrency, rate_text(v_limit.rate, v_limit.rate_per);
end $$;
