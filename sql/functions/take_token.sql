-- Takes a token from a bucket that p_rate tokens fill in p_per seconds, up to p_burst: 0 when there was one, else the seconds after which to ask
-- again. Who is put off comes back when it is its turn, one after the other, but nothing is kept for it. Locks: the bucket's row.
create or replace function tributary.take_token(p_tenant text, p_name text, p_rate integer, p_per integer, p_burst integer) returns float8
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_column
declare
    v_bucket record;
    v_each constant float8 := p_per::float8 / p_rate;
    v_tokens float8;
    v_back timestamptz;
    v_now timestamptz := clock();
begin
    select * into v_bucket from rate_buckets b where b.tenant_id = p_tenant and b.name = p_name for update;
    if not found then
        insert into rate_buckets (tenant_id, name, tokens, filled_at, returns_at, full_at)
        values (p_tenant, p_name, p_burst, v_now, v_now, v_now)
        on conflict on constraint rate_buckets_pkey do nothing;
        if found then
            delete from rate_buckets b
            where b.ctid = any (array(select o.ctid from rate_buckets o where o.full_at < v_now - interval '1 minute'
                                      order by o.full_at limit 20 for update skip locked));
        end if;
        select * into v_bucket from rate_buckets b where b.tenant_id = p_tenant and b.name = p_name for update;
    end if;
    v_now := clock();
    -- a clock that was set back begins anew
    v_tokens := least(p_burst, v_bucket.tokens + greatest(0, extract(epoch from v_now - v_bucket.filled_at)::float8) / v_each);
    v_back := greatest(v_bucket.returns_at, v_now);
    if v_tokens >= 1 then
        v_tokens := v_tokens - 1;
        v_back := v_now;
    else
        v_back := greatest(v_back, v_now + make_interval(secs => (1 - v_tokens) * v_each));
    end if;
    update rate_buckets b
    set tokens = v_tokens, filled_at = v_now,
        returns_at = case when v_back > v_now then v_back + make_interval(secs => v_each) else b.returns_at end,
        full_at = v_now + make_interval(secs => (p_burst - v_tokens) * v_each)
    where b.tenant_id = p_tenant and b.name = p_name;
    return extract(epoch from v_back - v_now)::float8;
end $$;
