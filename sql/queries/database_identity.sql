-- What tells this database apart from all others: that of a dump restored elsewhere, or of a copy, is another one; a standby's is the same.
-- Locks: none.
-- Index: pg_database_datname_index.
-- Caller: store.cache.namespaced.identity
select format('%s/%s', s.system_identifier, d.oid)
from pg_control_system() as s, pg_database as d
where d.datname = current_database()
