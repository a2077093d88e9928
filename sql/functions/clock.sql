-- Database time. `set tributary.fake_now = '2030-01-01T00:00:00Z'` fakes it for one session of the schema's owner (tests).
-- Volatile on purpose: read it into a variable once the locks are held, never now().
create or replace function tributary.clock() returns timestamptz
language sql volatile parallel safe
as $$
    select case when coalesce(current_setting('tributary.fake_now', true), '') = '' then clock_timestamp() else tributary.faked_clock() end
$$;
