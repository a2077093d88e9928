-- The key under which unique work is known: the given one, or a hash of the payload in its canonical form.
create or replace function tributary.unique_key(p_unique jsonb, p_payload jsonb) returns text
language sql immutable parallel safe
as $$
    select coalesce(p_unique ->> 'key', 'payload:' || encode(sha256(convert_to(p_payload::text, 'UTF8')), 'hex'))
$$;
