"""A trigger that lets nothing but an explicit retry change the state of what has ended."""

from __future__ import annotations

from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED


def hold_ends(connection) -> None:
    """Let every statement fail from now on that leaves an end without retry, retry_only or requeue."""
    connection.execute("""
        create function public.hold_end() returns trigger language plpgsql as $$
        declare
            v_stack text;
        begin
            get diagnostics v_stack = pg_context;
            if v_stack not like '%retry_work(%' then
                raise exception 'one of the % became % without a retry, it was %',
                    tg_table_name, new.state, old.state using detail = v_stack;
            end if;
            return null;
        end $$
    """)
    for table, ended in (("steps", STEP_ENDED), ("runs", RUN_ENDED)):
        states = ", ".join(sorted(f"'{state}'" for state in ended))
        connection.execute(f"""
            create trigger ends_hold after update on tributary.{table} for each row
            when (old.state in ({states}) and old.state is distinct from new.state)
            execute function public.hold_end()
        """)
