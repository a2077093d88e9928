"""Workflow functions submitted where their code is, whether or not a worker has registered them."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from tributary_daemon import WorkflowContext, workflow
from tributary_daemon.errors import InvalidInput, NotFound

FILE = "name: test.taken.v1\ninputs: {n: {type: integer}}\nsteps: {a: {task: test.a.v1}}\n"


@pytest.fixture
def double():
    async def body(ctx: WorkflowContext, n: int) -> int:
        return 2 * n

    return workflow("test.double.v1")(body)


def test_it_is_a_run_before_any_worker_has_registered_it_by_function_and_by_name(client, double):
    for target in (double, "test.double.v1"):
        receipt = client.submit(target, {"n": 4})
        assert (receipt.kind, receipt.state, receipt.name) == ("run", "waiting", "test.double.v1")
        assert "no worker has offered" in receipt.warnings[0]
        (main,) = client.get(receipt.id).steps.values()
        assert (main.id, main.reason) == ("main", "no_handler")
        assert client.dry_run(target, {"n": 4})["kind"] == "run"


@pytest.mark.parametrize("by_name", [False, True], ids=["function", "name"])
def test_its_inputs_are_checked_before_anything_is_stored(client, double, by_name):
    with pytest.raises(InvalidInput, match=r"payload\.n: Field required"):
        client.submit("test.double.v1" if by_name else double, {"m": 4})
    assert client.list().items == ()


def test_a_workflow_of_a_file_that_is_registered_under_its_name_comes_first(client, tmp_path):
    async def body(ctx: WorkflowContext, n: int) -> int:
        return n

    workflow("test.taken.v1")(body)
    (tmp_path / "taken.yaml").write_text(FILE)
    client.register(str(tmp_path / "taken.yaml"))
    assert set(client.get(client.submit("test.taken.v1", {"n": 1}).id).steps) == {"a"}


def test_the_model_that_a_function_takes_starts_it(client):
    class Loan(BaseModel):
        amount: int

    async def body(ctx: WorkflowContext, loan: Loan) -> int:
        return loan.amount

    workflow("test.loan.v1")(body)
    receipt = client.submit(Loan(amount=3))
    assert (receipt.kind, receipt.name) == ("run", "test.loan.v1")
    assert client.get(receipt.id).inputs == {"amount": 3}


@pytest.mark.parametrize("by_name", [False, True], ids=["function", "name"])
def test_a_schedule_of_it_is_refused_until_a_worker_has_registered_it(client, double, by_name):
    target = "test.double.v1" if by_name else double
    with pytest.raises(NotFound, match=r"test\.double\.v1"):
        client.schedule("nightly", "@daily", target, {"n": 4})
    with pytest.raises(InvalidInput, match=r"payload\.n: Field required"):
        client.schedule("nightly", "@daily", target, {"m": 4})
    assert client.schedules() == ()
