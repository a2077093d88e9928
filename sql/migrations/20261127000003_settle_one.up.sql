-- No table changes: the functions did (settle_one), and a schema without them has to be noticed.
select 1;
