-- What a server is and how much room it has; asked before the schema is known to exist.
-- Locks: none.
-- Index: none; settings and pg_stat_activity.
-- Caller: store.server.facts
select current_setting('server_version_num')::integer, current_setting('server_version'), clock_timestamp(),
       current_setting('max_connections')::integer, current_setting('superuser_reserved_connections')::integer
           + coalesce(current_setting('reserved_connections', true), '0')::integer,
       (select count(*) from pg_stat_activity as a where a.backend_type = 'client backend')::integer,
       (select count(*) from pg_stat_activity as a
        where a.backend_type = 'client backend' and a.application_name ~ '^trib ')::integer,
       pg_is_in_recovery(), current_user::text, current_database()::text,
       has_database_privilege(current_database(), 'create')
