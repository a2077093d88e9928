-- Functions are dropped before a migration is rolled back.
select 1;
