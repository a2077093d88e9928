"""Workflow functions in the protocol: what a worker writes for them, without one."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

NAME = "t.flow.v1"
WORK = kit.NAME
NAMES = (NAME, WORK, kit.CLOSING, "trib.workflow.v1", "trib.wait.v1", "trib.approve.v1")
SPEC = WorkflowSpec(
    name=NAME, steps=(StepSpec(id="main", ordinal=1, name=NAME, action="function"),), function=True
)


def process(connection):
    """Return a process that offers a handler and a workflow function."""
    kit.offer(connection, WORK, NAME)
    told = [{"name": NAME, "plan": SPEC.plan(), "description": None}]
    assert kit.scalar(connection, "select tributary.register_functions(%s::jsonb)", json.dumps(told)) == []
    return kit.Process(connection, queues=("default", "~closing"), names=NAMES)


def begin(connection, inputs=None, **options):
    """Submit a run by its name; return its id."""
    given = "".join(f", {option} => %({option})s" for option in options)
    sql = f"select tributary.submit_workflow(%(name)s, %(inputs)s::jsonb{given})::text"
    return connection.execute(sql, {"name": NAME, "inputs": json.dumps(inputs or {}), **options}).fetchone()[
        0
    ]


def run(ordinal, step="work", name=WORK, payload=None, **options):
    """Return a request for a step."""
    return {
        "ordinal": ordinal,
        "id": step,
        "kind": "run",
        "name": name,
        "payload": payload or {},
        "options": options,
    }


def wait(ordinal, step, **terms):
    """Return a request for a wait."""
    return {"ordinal": ordinal, "id": step, "kind": "wait", "name": step, "payload": terms, "terms": terms}


def keep(connection, item, number, events, *, status=None, left=None, locked=()):
    """Add to a history as a finish does before it; return whether the token stands."""
    rows = connection.execute(
        f"select * from tributary.keep_history({kit.shard_of(connection, item.run_id)}::smallint,"
        " %s::uuid[], %s::int[], %s::bigint[], %s::int[], %s::text[], %s::text[], %s::text[], %s::uuid[])",
        (
            [item.run_id], [item.ordinal], [item.seq], [number], [json.dumps(events)],
            [None if status is None else json.dumps(status)], [None if left is None else json.dumps(left)],
            [item.run_id, *locked],
        ),
    ).fetchall()  # fmt: skip
    return bool(rows)


def suspend(worker, item, asks=(), *, open_=(), unmet=1):
    """Let a function wait; return the refused tokens."""
    terms = {"asks": list(asks), "open": list(open_), "unmet": unmet}
    return worker.finish([item], "suspended", result=json.dumps(terms))


def ended(ordinal, number=1):
    """Return the event of a function that has taken note of an end."""
    return {
        "type": "ended",
        "n": number,
        "ordinal": ordinal,
        "state": "discarded",
        "at": "2100-01-01T00:00:00Z",
    }


def main(worker):
    """Claim, and return the function's own step; nothing else is to be claimed."""
    (item,) = worker.claim()
    assert item.step_id == "main"
    return item


def state(connection, run, step="main"):
    """Return state and reason of a step."""
    row = kit.row(connection, run, step)
    return row["state"], row["reason"]


def run_state(connection, run):
    """Return the state of a run as shown, and how many steps have not ended."""
    return connection.execute(
        "select tributary.run_state_now(shard, run_id, state, run_at), remaining from tributary.runs"
        " where run_id = %s",
        (run,),
    ).fetchone()


def undo(step, number):
    """Return the event of what undoes something."""
    return {"type": "undo", "id": step, "name": WORK, "payload": {"a": number}}


def refused(connection, sql, *params):
    """Return code and text of the error that a statement raises."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, params)
    return caught.value.sqlstate, str(caught.value)
