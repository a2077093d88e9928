-- Public. Gives a claimed intent back without counting the attempt; false when the token no longer stands.
create or replace function tributary.release(process bigint, run_id uuid, token bigint) returns boolean
language sql volatile
as $$
    select tributary.finish(process, run_id, token, 'released')
$$;
