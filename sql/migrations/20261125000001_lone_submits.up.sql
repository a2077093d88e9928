-- Only functions change with this release: submit_named and submit_alone, and a wake-up that waits for the commit where it can.
-- The migration makes the older schema noticed.
select 1;
