-- No table changes: the functions did (attend), and a schema without them has to be noticed.
select 1;
