"""Specs of every construct for tests of the tool chain."""

from __future__ import annotations

import pytest

from tributary_daemon.spec.workflow import InputSpec, StepSpec, WorkflowSpec


def step(step_id, ordinal, *needs, **fields):
    """Return a step; `implied` names those of its needs that come from references."""
    fields.setdefault("name", "shop.step.v1")
    fields["implied"] = frozenset(fields.get("implied", ()))
    return StepSpec(id=step_id, ordinal=ordinal, needs=needs, **fields)


def workflow(edges, name="shop.graph.v1", **extras):
    """Return a workflow from ``{step id: [needs]}``, in topological order."""
    steps = tuple(
        step(step_id, number, *needs, **extras.get(step_id, {}))
        for number, (step_id, needs) in enumerate(edges.items(), 1)
    )
    return WorkflowSpec(name=name, steps=steps)


@pytest.fixture
def graph():
    """Return a function that makes a workflow from ``{step id: [needs]}``."""
    return workflow


@pytest.fixture
def everything():
    """A workflow with every construct."""
    child = workflow({"fit": [], "score": ["fit"]}, name="shop.train.v1")
    return WorkflowSpec(
        name="shop.everything.v1",
        description="All of it",
        inputs={
            "env": InputSpec(
                type="choice", options=("dev", "prod"), required=False, has_default=True, default="dev"
            ),
            "day": InputSpec(type="date"),
            "regions": InputSpec(type="list", required=False, has_default=True, default=["eu", "us", "as"]),
        },
        defaults={"timeout": 60.0, "max_attempts": 2},
        timeout=7200.0,
        max_parallel=8,
        fail_fast=True,
        secrets=("TOKEN",),
        env={"LEVEL": "info"},
        concurrency={"group": "etl-${{ inputs.env }}", "limit": 1, "on_limit": "queue"},
        schedule=({"cron": "15 2 * * *", "timezone": "Europe/Berlin"},),
        preconditions=({"if": "inputs.env == 'dev'", "message": "not on prod"},),
        keep={"days": 90},
        children={child.name: child},
        steps=(
            step("extract", 1, cache={"scope": "global", "ttl": 60.0}, options={"queue": "heavy"}),
            step("wait_a_bit", 2, name="trib.wait.v1", action="wait", wait={"for": 30.0}),
            step(
                "split", 3, "extract", implied=("extract",), for_each="${{ inputs.regions }}",
                key="${{ item }}", max_parallel=2, fail_fast=False, tolerate="10%",
                aggregate={"name": "shop.sum.v1", "with": {}}, undo={"name": "shop.unsplit.v1", "with": {}},
            ),
            step(
                "grid", 4, "extract",
                matrix={"axes": {"a": [1, 2], "b": [1, 2, 3]}, "exclude": [{"a": 1, "b": 1}]},
            ),
            step("later", 5, "split", for_each="${{ steps.split.result }}", run_after=600.0),
            step("script", 6, "split", name="trib.shell.v1", action="run", condition="inputs.env == 'prod'"),
            step(
                "train", 7, "grid", "script", name="trib.workflow.v1", action="workflow",
                workflow={"name": "shop.train.v1", "hash": "0" * 64}, continue_on_error=True,
            ),
            step(
                "ask", 8, "train", "wait_a_bit", name="trib.approve.v1", action="approve",
                approve={"prompt": "Go on?", "timeout": 3600.0, "on_timeout": "fail"},
                condition="always() && inputs.env == 'dev'", decides=True,
                concurrency={"group": "ask", "limit": 1, "on_limit": "reject"},
            ),
            step("alert", 9, name="notify.alert.v1", hook="on_failure"),
            step("clean", 10, name="trib.shell.v1", action="run", hook="finally"),
            step("tell", 11, "clean", hook="finally"),
        ),
    )  # fmt: skip
