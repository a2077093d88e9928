from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.model.retry import Retry
from tributary_daemon.spec.builder import WorkflowBuilder
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.workflow import InputSpec


def codes_of(builder):
    with pytest.raises(InvalidWorkflow) as caught:
        builder.build()
    return [(problem.code, problem.message) for problem in caught.value.problems]


def test_it_builds_what_yaml_builds():
    built = (
        WorkflowBuilder(
            "user.signup.v1",
            inputs={"email": {"type": "string"}, "n": InputSpec(type="integer", has_default=True, default=1)},
            result={"id": "${{ steps.create.result.id }}"},
            defaults={"queue": "people", "timeout": timedelta(minutes=2)},
            labels={"team": "data"},
        )
        .add("create", "accounts.create.v1", {"email": "${{ inputs.email }}"})
        .add(
            "activate",
            "accounts.activate.v1",
            {"id": "${{ steps.create.result.id }}"},
            priority=5,
            max_attempts=2,
            timeout="30s",
            queue="q",
            retry=Retry(delay="5s", on=("Timeout",)),
            run_after=timedelta(seconds=90),
            continue_on_error=True,
        )
        .add("mail", "notify.email.v1", needs=["activate"], run_after=datetime(2030, 1, 1, tzinfo=UTC))
        .build()
    )
    create, activate, mail = built.steps
    assert activate.implied == {"create"}
    assert activate.options == {
        "priority": 5,
        "max_attempts": 2,
        "timeout": 30.0,
        "queue": "q",
        "retry": Retry(delay=5.0, on=("Timeout",)).to_json(),
    }
    assert (activate.run_after, activate.continue_on_error) == (90.0, True)
    assert mail.run_after == "2030-01-01T00:00:00.000000Z"
    assert mail.needs == ("activate",)
    assert create.with_ == {"email": "${{ inputs.email }}"}
    assert built.defaults == {"queue": "people", "timeout": 120.0}
    assert load_text(built.source) == built


@pytest.mark.parametrize("payload", [3, "text", [1], True, 0, "", {"a": None}])
def test_any_json_value_is_a_payload(payload):
    assert WorkflowBuilder("w.v1").add("a", "t.v1", payload).build().steps[0].with_ == payload


def test_the_same_errors_as_yaml_without_positions():
    builder = WorkflowBuilder("w.v1").add("a", "t.v1", needs="b").add("b", "t.v1", needs="a")
    assert codes_of(builder.add("c", "t.v1", needs=["d"])) == [
        ("TRB104", "steps.c.needs[0]: unknown step 'd' in needs"),
        ("TRB106", "steps.a.needs: steps need each other in a cycle: a -> b -> a"),
    ]
    assert codes_of(WorkflowBuilder("w.v1").add("a", "t.v1").add("a", "t.v1"))[0][0] == "TRB110"
    assert codes_of(WorkflowBuilder("w.v1"))[0][0] == "TRB103"
    assert codes_of(WorkflowBuilder("w.v1").add("a", "t.v1", timeout=-1.0))[0][0] == "TRB109"
    assert codes_of(WorkflowBuilder("a b").add("a", "t.v1"))[0][0] == "TRB121"
    no_zone = datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    assert codes_of(WorkflowBuilder("w.v1").add("a", "t.v1", run_after=no_zone))[0][0] == "TRB109"


class Foreign:
    pass


def endless():
    value = []
    value.extend((value, value))
    return value


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"a": float("nan")}, "TRB119"),
        ({"a": "\0"}, "TRB119"),
        ({"\0": 1}, "TRB119"),
        ({"a": "\ud800"}, "TRB119"),
        ({"a": Foreign()}, "TRB119"),
        ({"a": 10**5000}, "TRB119"),
        ({1: 2}, "TRB111"),
        (endless(), "TRB119"),
    ],
)
def test_payloads_that_are_not_json(payload, code):
    faults = codes_of(WorkflowBuilder("w.v1").add("a", "t.v1", payload))
    assert faults[0][0] == code
    assert faults[0][1].startswith("steps.a.with")


def test_every_key_of_a_step_and_a_workflow():
    built = (
        WorkflowBuilder(
            "w.v1",
            secrets=["TOKEN"],
            env={"A": "x"},
            timeout=timedelta(hours=1),
            max_parallel=4,
            fail_fast=True,
            concurrency={"group": "g"},
            schedule="0 6 * * *",
            preconditions=["run.name != ''"],
            keep={"days": 3},
        )
        .add("a", "t.v1", condition="always()", matrix={"x": [1, 2]}, fail_fast=False, tolerate="10%")
        .add("b", "t.v1", for_each="${{ steps.a.result }}", key="${{ item }}", aggregate={"task": "s.v1"})
        .write("c", {"run": "echo $A", "shell": "sh"}, needs="b", undo={"task": "u.v1"})
        .write("d", {"workflow": "d.v1"}, cache=None, timeout=timedelta(seconds=5))
        .add("e", "t.v1", {"why": "${{ run.error }}"}, hook="on_failure")
        .write("f", {"run": "rm x"}, hook="finally")
        .build()
    )
    assert (built.secrets, built.timeout, built.keep) == (("TOKEN",), 3600.0, {"days": 3})
    assert [(s.id, s.hook) for s in built.steps][-2:] == [("e", "on_failure"), ("f", "finally")]
    a, b, c, d = built.steps[:4]
    assert (a.condition, a.decides, a.fail_fast, a.tolerate) == ("always()", True, False, "10%")
    assert (b.needs, b.aggregate) == (("a",), {"name": "s.v1"})
    assert (c.action, c.needs, c.undo) == ("run", ("b",), {"name": "u.v1"})
    assert d.options == {"timeout": 5.0}
    assert load_text(built.source) == built


def test_children_of_a_built_workflow():
    child = WorkflowBuilder("child.v1", inputs={"n": {"type": "integer"}}).add("x", "t.v1").build()
    builder = WorkflowBuilder("w.v1", children=[child]).write("a", {"workflow": "child.v1", "with": {"n": 1}})
    built = builder.build()
    assert built.children == {"child.v1": child}
    assert built.steps[0].workflow == {"name": "child.v1", "hash": child.revision_hash()}
    assert codes_of(WorkflowBuilder("w.v1").write("a", {"workflow": "./x.yaml"}))[0][0] == "TRB160"
    faulty = WorkflowBuilder("w.v1", children=[child]).write("a", {"workflow": "child.v1"})
    assert codes_of(faulty)[0] == (
        "TRB162",
        "steps.a.workflow: the workflow child.v1 needs the input 'n' (integer)",
    )


def test_an_unknown_hook():
    builder = WorkflowBuilder("w.v1").add("a", "t.v1").add("b", "t.v1", hook="on_sucess")
    assert codes_of(builder) == [("TRB109", "steps.b: there is no hook 'on_sucess'")]
