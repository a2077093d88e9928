-- Forgets a dead letter; the work itself stays as it is. Returns whether it was there. Locks: the dead letter. Index: dead_letters_pkey.
create or replace function tributary.drop_dead_letter(p_id uuid, p_ordinal integer) returns boolean
language plpgsql volatile
security definer
set search_path to tributary, pg_temp
as $$
begin
    if not sees_work(p_id) then
        return false;
    end if;
    delete from dead_letters d where d.shard = shard_of(p_id) and d.run_id = p_id and d.ordinal = p_ordinal;
    return found;
end $$;
