-- Refuses a payload past the limit (meta.max_payload, 1 MiB when absent); p_what names it in the message.
create or replace function tributary.check_payload(p_what text, p_payload jsonb) returns void
language plpgsql stable
as $$
declare
    v_limit bigint := coalesce((select value::bigint from tributary.meta where key = 'max_payload'), 1048576);
begin
    -- the binary form may be a little larger than the text that the limit is meant for; one read from a table may be compressed
    if (pg_column_size(p_payload) > v_limit * 5 / 4 or pg_column_compression(p_payload) is not null) and octet_length(p_payload::text) > v_limit
            -- what was sealed is larger by a third, and was measured before
            and not (octet_length(p_payload::text) <= v_limit * 3 / 2 and jsonb_typeof(p_payload) = 'object' and p_payload ? '$sealed') then
        raise exception '% is % bytes, the limit is %', p_what, octet_length(p_payload::text), v_limit
            using errcode = 'TR001', hint = 'store large data elsewhere and pass a reference to it';
    end if;
end $$;
