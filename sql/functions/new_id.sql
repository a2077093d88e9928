-- A UUID version 7 whose last 12 bits are the slot that leads to the shard; the slot is random unless given.
create or replace function tributary.new_id(slot integer default null) returns uuid
language sql volatile parallel safe
as $$
    select (lpad(to_hex(us / 1000), 12, '0')
            || '7' || lpad(to_hex((us % 1000) * 4096 / 1000), 3, '0')
            || case when new_id.slot is null then substr(random, 17, 16)
                    else substr(random, 17, 13) || lpad(to_hex(new_id.slot), 3, '0') end)::uuid
    from (select tributary.clock_us() as us, replace(gen_random_uuid()::text, '-', '') as random) as source
$$;
