-- First words of a worker's session: who answers, and limits that neither URL, role nor database has set.
-- Locks: none.
-- Index: none; pg_settings is a function.
-- Caller: store.db._greeting
select pg_backend_pid(), current_setting('default_transaction_isolation'),
       (select count(set_config(s.name, l.value, false))
        from jsonb_each_text(%(limits)s::jsonb) as l(name, value)
        join pg_settings as s on s.name = l.name
        where pg_backend_pid() = %(login_pid)s::integer and s.source in ('default', 'configuration file'))
