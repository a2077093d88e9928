"""Preconditions at a submit, and what a workflow says of its finished runs."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest

from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput, PreconditionFailed


@pytest.fixture
def spec():
    made = Workflow("test.guarded.v1").add("a", "test.a.v1").spec()
    guard = {"if": "run.labels.env == 'prod' && run.scheduled_for == null", "message": "not here"}
    return dataclasses.replace(made, preconditions=(guard,))


def count(database, table="runs"):
    with psycopg.connect(database) as connection:
        return connection.execute(f"select count(*) from tributary.{table}").fetchone()[0]


def test_a_submit_is_refused_and_stores_nothing(client, database, spec):
    for act in (client.submit, client.dry_run):
        with pytest.raises(PreconditionFailed, match="not here"):
            act(spec, labels={"env": "dev"})
    assert count(database) == count(database, "revisions") == 0
    assert client.submit(spec, labels={"env": "prod"}).created
    with pytest.raises(PreconditionFailed, match="scheduled_for is"):
        client.submit(spec, labels={"env": "prod"}, run_after="1h")


def test_a_registered_workflow_demands_the_same(client, database, spec):
    client.register(spec)
    with pytest.raises(PreconditionFailed):
        client.submit(spec.name)
    first = client.submit(spec.name, labels={"env": "prod"})
    assert client.rerun(first.id).created
    assert count(database) == 2


def test_sql_which_cannot_evaluate_them_refuses_the_workflow(client, database, spec):
    client.register(spec)
    with psycopg.connect(database) as connection:
        for call in ("submit_workflow(%s)", "submit(%s)"):
            with pytest.raises(psycopg.Error, match="has preconditions") as refused:
                connection.execute(f"select tributary.{call}", (spec.name,))
            assert refused.value.sqlstate == "TR001"
            connection.rollback()


def test_prune_applies_what_workflows_say(client, database):
    made = Workflow("test.kept.v1").add("a", "test.a.v1").spec()
    spec = dataclasses.replace(made, keep={"runs": 1})
    for _ in range(3):
        client.cancel(client.submit(spec).id)
    assert client.keeps() == ("test.kept.v1",)
    counted = client.prune(None, dry_run=True)
    assert (counted.runs, counted.kept) == (2, {"test.kept.v1": 2})
    assert client.prune("1d", states=["completed"]).runs == 0
    assert client.prune(None).to_json() == {
        "runs": 2, "intents": 0, "dry_run": False, "kept": {"test.kept.v1": 2},
    }  # fmt: skip
    assert count(database) == 1
    with pytest.raises(InvalidInput, match="how old"):
        client.prune(None, states=["completed"])
