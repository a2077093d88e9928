"""What code of the release before asks the new schema for."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.pq import ExecStatus

from tests.guards.test_sql_prepares import COMPOSED, with_numbers


def test_statements_of_the_release_before_prepare_on_the_new_schema(upgraded, old):
    refused = {}
    with psycopg.connect(upgraded, autocommit=True) as sql:
        for path in sorted((old.tree / "sql" / "queries").glob("*.sql")):
            text = with_numbers(COMPOSED.sub("", path.read_text(encoding="utf-8"))).strip().rstrip(";")
            answer = sql.pgconn.prepare(path.stem.encode(), text.encode())
            if answer.status != ExecStatus.COMMAND_OK:
                refused[path.stem] = answer.error_message.decode()
    assert refused == {}


def test_an_upgraded_schema_is_that_of_a_fresh_one(upgraded, connection_to_fresh):
    columns = (
        "select table_name, column_name, data_type, is_nullable, column_default"
        " from information_schema.columns where table_schema = 'tributary' order by 1, 2"
    )
    indexes = "select indexdef from pg_indexes where schemaname = 'tributary' order by 1"
    functions = (
        "select p.oid::regprocedure::text, p.prosrc, p.proconfig from pg_proc p"
        " where p.pronamespace = 'tributary'::regnamespace order by 1"
    )
    with psycopg.connect(upgraded, autocommit=True) as sql:
        for query in (columns, indexes):
            assert sql.execute(query).fetchall() == connection_to_fresh.execute(query).fetchall()
        upgraded_ones = sql.execute(functions).fetchall()
        # those whose arguments changed stay in their old form, too; whoever drains may still be at them
        fresh = connection_to_fresh.execute(functions).fetchall()
        assert [row for row in fresh if row not in upgraded_ones] == []


@pytest.mark.timeout(300)
def test_an_old_leader_fires_schedules_and_ends_runs_past_their_timeout(upgraded, old, tmp_path, eventually):
    """What it asks the functions for is answered as it expects it."""
    (tmp_path / "late.yaml").write_text(
        "name: up.late.v1\ntimeout: 1s\nsteps: {wait: {task: up.gate.v1, with: {gate: never}}}\n"
    )
    worker = old.worker("old")
    run = old.answer("submit", "late.yaml")["id"]
    with psycopg.connect(upgraded, autocommit=True) as sql:
        sql.execute(
            "select tributary.schedule_intent('tick', '* * * * * *', 'up.note.v1', overlap => 'allow')"
        )
        fired = "select count(*) from tributary.schedule_fires where schedule = 'tick' and outcome = 'fired'"
        eventually(lambda: sql.execute(fired).fetchone()[0] >= 2, 60, "two slots are fired")
        state = "select state::text, reason from tributary.runs where run_id = %s"
        eventually(
            lambda: sql.execute(state, (run,)).fetchone() == ("failed", "timeout"), 60, "the run fails"
        )
    assert '"level": "error"' not in worker.log()
    assert "schedule disabled" not in worker.log()
    assert worker.stop() == 0


def test_dead_letters_are_dropped_by_step_ids_as_the_release_before_names_them(upgraded, connection):
    (letter,) = connection.execute("select tributary.submit_intent('up.bad.v1', '{}')").fetchone()
    (process,) = connection.execute(
        "select tributary.register_process('p', 'go', array['up.bad.v1'])"
    ).fetchone()
    claim = "select run_id, token from tributary.claim(%s, array['default'], array['up.bad.v1'])"
    finish = "select tributary.finish(%s, %s, %s, 'discarded', error => 'broken')"
    assert connection.execute(
        finish, (process, *connection.execute(claim, (process,)).fetchone())
    ).fetchone() == (True,)
    drop = "select state, code from tributary.steer_many(0::smallint, %s, array[%s], array[%s]::text[], '{}')"
    assert connection.execute(drop, ("drop", letter, "other")).fetchone() == ("dropped", "TR003")
    assert connection.execute(drop, ("drop", letter, None)).fetchone() == ("dropped", None)
    assert connection.execute("select count(*) from tributary.dead_letters").fetchone() == (0,)
