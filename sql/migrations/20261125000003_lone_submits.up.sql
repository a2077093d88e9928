-- Only functions change with this release: submits of clients that commit by themselves, and a wake-up that waits for the commit where it can.
-- The migration makes the older schema noticed.
select 1;
