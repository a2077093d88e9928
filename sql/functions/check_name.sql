-- Refuses names, keys and queues that no one could type again.
create or replace function tributary.check_name(p_what text, p_name text) returns void
language plpgsql immutable
as $$
begin
    if p_name is null or p_name = '' or length(p_name) > 300 or p_name ~ '[[:cntrl:]]' then
        raise exception '% must be 1 to 300 characters without control characters, not %', p_what, coalesce(quote_literal(left(p_name, 40)), 'null')
            using errcode = 'TR001', hint = 'names look like content.thumbnail.v1';
    end if;
end $$;
