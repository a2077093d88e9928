"""What the tables refuse, whatever writes to them (docs/decisions/0048-short-checks.md)."""

from __future__ import annotations

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED


@pytest.mark.parametrize(("kind", "ended"), [("step_state", STEP_ENDED), ("run_state", RUN_ENDED)])
def test_ended_states_are_the_last_of_their_type(connection, kind, ended):
    after = connection.execute(
        f"select s::text from unnest(enum_range(null::tributary.{kind})) as s where s >= 'completed'"
    ).fetchall()
    assert {state for (state,) in after} == ended


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'running', claimed_at = now()", "steps_owned_while_running"),
        ("process_id = 7", "steps_owned_while_running"),
        ("state = 'scheduled'", "steps_scheduled_have_a_time"),
        ("state = 'completed'", "steps_ended_have_a_time"),
        ("state = 'discarded'", "steps_ended_have_a_time"),
        ("finished_at = now()", "steps_ended_have_a_time"),
        ("unmet = unmet - 1", "steps_unmet_holds"),
    ],
)
def test_a_step_is_refused_that_breaks_the_promise_of_its_state(connection, change, constraint):
    kit.offer(connection)
    kit.intent(connection)
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        connection.execute(f"update tributary.steps set {change}".encode())


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'failed'", "runs_ended_have_a_time"),
        ("state = 'cancelled'", "runs_ended_have_a_time"),
        ("finished_at = now()", "runs_ended_have_a_time"),
        ("remaining = -1", "runs_remaining_holds"),
    ],
)
def test_a_run_is_refused_that_breaks_the_promise_of_its_state(connection, change, constraint):
    kit.offer(connection)
    kit.start(connection, kit.workflow("t.plain.v1", {"a": []}))
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        connection.execute(f"update tributary.runs set {change}".encode())
