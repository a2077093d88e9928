-- First words of a worker's session: who answers, what it is set to, and limits that neither URL, role nor database has set.
-- Locks: none.
-- Index: none; pg_settings is a function.
-- Caller: store.db._greeting
select pg_catalog.pg_backend_pid(), pg_catalog.current_setting('default_transaction_isolation'), pg_catalog.current_setting('DateStyle'),
       pg_catalog.current_setting('array_nulls'), pg_catalog.current_setting('search_path'), pg_catalog.current_setting('idle_session_timeout'),
       (select pg_catalog.count(pg_catalog.set_config(s.name, l.value, false))
        from pg_catalog.jsonb_each_text(%(limits)s::jsonb) as l(name, value)
        join pg_catalog.pg_settings as s on s.name = l.name
        where pg_catalog.pg_backend_pid() = %(login_pid)s::integer and s.source in ('default', 'configuration file'))
