-- Public. Limits how many submits a login may make in a span of time ('100/s', '5000/h'); 'none' takes the limit away. It holds for who may
-- submit and cannot write the rows themselves: not for workers, admins and the owner. Each intent and each run counts, also where a key was
-- known; as many as the span brings may come at once. Returns the limit as it is now. Raises TR001, TR003. Locks: the login's row.
create or replace function tributary.limit_submits(role text, rate text) returns text
language plpgsql volatile
set search_path to tributary, pg_temp
as $$
#variable_conflict use_variable
declare
    v_rate integer[];
begin
    if rate = 'none' then
        delete from submit_limits l where l.role = limit_submits.role;
        return null;
    end if;
    v_rate := read_rate(rate);
    if v_rate[1] = 0 then
        raise exception 'a rate of 0 would let nothing be submitted' using errcode = 'TR001', hint = 'revoke the role instead';
    elsif not exists (select from pg_roles r where r.rolname = role and r.rolcanlogin) then
        raise exception 'there is no login %', quote_literal(role)
            using errcode = 'TR003', hint = 'a limit is that of a login, not of a group it is a member of';
    end if;
    insert into submit_limits as l (role, rate, rate_per, tokens, filled_at)
    values (role, v_rate[1], v_rate[2], v_rate[1], clock())
    on conflict on constraint submit_limits_pkey do update
    set rate = excluded.rate, rate_per = excluded.rate_per, tokens = least(l.tokens, excluded.tokens);
    return rate_text(v_rate[1], v_rate[2]);
end $$;
