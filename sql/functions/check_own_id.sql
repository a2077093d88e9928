-- Refuses an id that a client has made for its own work, unless it could be from place_to_seal: of version 7, made within a day, on the shard
-- of the key (null: on any).
create or replace function tributary.check_own_id(p_id uuid, p_tenant text, p_key text) returns void
language plpgsql stable
set search_path to tributary, pg_temp
as $$
begin
    if substr(p_id::text, 15, 1) <> '7'
            or abs(('x' || substr(replace(p_id::text, '-', ''), 1, 12))::bit(48)::bigint - clock_us() / 1000) > 86400000
            or (p_key is not null and shard_of(p_id) <> slot_of_key(p_tenant, p_key) % shard_count()) then
        raise exception 'work cannot have the id %', p_id using errcode = 'TR001', hint = 'take it from tributary.place_to_seal';
    end if;
end $$;
