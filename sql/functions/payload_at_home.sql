-- Whether a payload lies in its step's row: it is so small that writing it again at claim and finish costs less than a row and an index
-- entry of its own, and nothing has to be kept beside it.
create or replace function tributary.payload_at_home(p_payload jsonb, p_options jsonb, p_key text, p_known boolean) returns boolean
language sql stable parallel safe
as $$
    select p_known and p_options is null and p_key is null and coalesce(pg_column_size(p_payload) <= 100, false)
$$;
