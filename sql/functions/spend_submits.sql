-- Takes so many submits off the limit of the login that called, if it has one: before any key is taken, since the row stays locked until
-- the end of the transaction. What is refused takes nothing. Called where the login may not write the rows itself. Raises TR004.
create or replace function tributary.spend_submits(p_count integer) returns void
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
declare
    v_now timestamptz := clock();
    v_limit submit_limits;
begin
    update submit_limits l
    set tokens = least(l.rate, l.tokens + greatest(0, extract(epoch from v_now - l.filled_at)::float8) * l.rate / l.rate_per) - p_count,
        filled_at = greatest(l.filled_at, v_now)
    where l.role = invoker_name()
    returning l.* into v_limit;
    if v_limit.tokens < 0 then
        raise exception 'login % may submit %, and has used that up', quote_literal(invoker_name()), rate_text(v_limit.rate, v_limit.rate_per)
            using errcode = 'TR004',
                  hint = case when p_count > v_limit.rate then 'submit fewer at once'
                              else format('again in %s s', ceil(-v_limit.tokens * v_limit.rate_per / v_limit.rate)) end;
    end if;
end $$;
