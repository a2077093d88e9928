"""A trigger that lets nothing but an explicit retry change the state of what has ended."""

from __future__ import annotations

from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED


def hold_ends(connection) -> None:
    """Let every statement fail from now on that leaves an end without retry, retry_only or requeue.

    An end that its own transaction takes back was never seen by anybody: a batch may fail a run, and abort it
    with its next outcome.
    """
    connection.execute("""
        create table public.ends (relation text, run_id uuid, ordinal integer, txid bigint,
                                  primary key (relation, run_id, ordinal));
        create function public.hold_end() returns trigger language plpgsql as $$
        declare
            v_ordinal integer := coalesce((to_jsonb(new) ->> 'ordinal')::integer, -1);
            v_stack text;
        begin
            if old.finished_at is null then
                insert into public.ends values (tg_table_name, new.run_id, v_ordinal, txid_current())
                on conflict (relation, run_id, ordinal) do update set txid = excluded.txid;
                return null;
            end if;
            get diagnostics v_stack = pg_context;
            if v_stack not like '%retry_work(%' and not exists (
                select from public.ends e
                where e.relation = tg_table_name and e.run_id = old.run_id and e.ordinal = v_ordinal
                  and e.txid = txid_current()
            ) then
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
            when (old.state is distinct from new.state
                  and (old.state in ({states}) or new.state in ({states})))
            execute function public.hold_end()
        """)
