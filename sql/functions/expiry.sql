-- From when on work that has not started expires, as the terms of its submit have it; null for never.
create or replace function tributary.expiry(p_terms jsonb, p_run_at timestamptz) returns timestamptz
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz := clock();
    v_at timestamptz := coalesce(case when p_terms ->> 'expires_at' is not null then moment('expires_at', p_terms -> 'expires_at') end,
                                 v_now + make_interval(secs => (p_terms ->> 'expires_in')::float8));
begin
    if v_at <= greatest(p_run_at, v_now) then
        raise exception 'it would expire at %, before it may start', v_at
            using errcode = 'TR001', hint = 'let it expire later, or start earlier';
    end if;
    return v_at;
end $$;
