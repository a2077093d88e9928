-- Takes back what citus.sql did: all rows come back to the coordinator, into plain tables. Prepared, not run: see docs/citus.md.
-- Run on the coordinator as the owner of the schema, with no worker at work: psql -1 -v ON_ERROR_STOP=1 -f sql/citus_undo.sql
-- Functions stay where they were made: without a table that they are colocated with, a call runs where it is made.

set citus.multi_shard_modify_mode to 'sequential';

do $citus$
declare
    v_table regclass;
begin
    for v_table in
        select c.oid::regclass from pg_class c
        where c.relnamespace = 'tributary'::regnamespace and c.relkind in ('r', 'p')
        order by c.relname
    loop
        -- what refers to a table has come back with it
        if exists (select from pg_dist_partition d where d.logicalrelid = v_table) then
            perform undistribute_table(v_table, cascade_via_foreign_keys := true);
        end if;
    end loop;
end $citus$;
