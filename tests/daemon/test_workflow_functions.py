"""Workflow functions on real workers: signals, children, transactions, deaths, cancels, changed code."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from tributary_daemon import errors
from tributary_daemon.app import Client
from tributary_daemon.handlers.registry import REGISTRY

FLOWS = Path(__file__).with_name("flows_for_tests.py")


@pytest.fixture
def flows(shared):
    """The worker that all tests here share."""
    shared.wait(
        lambda: shared.one("select count(*) from tributary.workflows where name like 'f.%%'")[0] > 5,
        20,
        "registered",
    )
    with Client(shared.url) as client:
        yield Flows(shared, client)


@pytest.fixture
def here(flows, monkeypatch):
    """The same functions in this process."""
    monkeypatch.setattr(REGISTRY, "_handlers", {})
    spec = importlib.util.spec_from_file_location("flows_here", FLOWS)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "flows_here", module)
    spec.loader.exec_module(module)
    # what it notes here is no part of the directory that tests are started in
    module.HOME = flows.desk.home / "here"
    module.HOME.mkdir(exist_ok=True)
    return module


class Flows:
    """Submits workflow functions, and sees what became of them."""

    def __init__(self, desk, client):
        self.desk, self.client = desk, client

    def start(self, flow, /, **inputs):
        """Submit by plain SQL; return the id."""
        row = self.desk.one("select tributary.submit_workflow(%s, %s)", flow, Jsonb(inputs))
        return str(row[0])

    def ended(self, run, timeout=30):
        """Wait for the end; return the document."""
        self.desk.wait(lambda: self.client.get(run).ended, timeout, lambda: self.states(run))
        return self.client.get(run)

    def states(self, run):
        return {step.id: (step.state, step.reason) for step in self.client.get(run).steps.values()}

    def until(self, run, step, state):
        self.desk.wait(lambda: self.states(run).get(step, (None,))[0] == state, 20, lambda: self.states(run))

    def notes(self, what, **fields):
        path = self.desk.home / "flows.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [n for n in found if n["what"] == what and fields.items() <= n.items()]


def test_an_order_waits_for_its_warehouse_and_is_shipped(flows):
    run = flows.start("f.order.v1", customer="ann", amount=3)
    flows.until(run, "ready", "waiting")
    document = flows.client.get(run)
    assert document.state == "waiting"
    assert {name: (step.state, step.needs) for name, step in document.steps.items()} == {
        "main": ("waiting", ()), "charge": ("completed", ("main",)), "ready": ("waiting", ("main",)),
    }  # fmt: skip
    began = document.steps["main"].started_at
    assert document.started_at == began <= document.steps["charge"].started_at
    assert document.steps["main"].progress == "waiting for the warehouse"
    assert document.steps["ready"].wait["signal"] == "ready"
    assert flows.client.query(run) == "waiting for the warehouse"
    flows.client.signal(run, "ready", payload=True)
    document = flows.ended(run)
    listed = next(item for item in flows.client.list(name="f.order.v1").items if item.id == run)
    assert began == document.started_at == listed.started_at, "it goes on: it does not begin again"
    assert document.state == "completed"
    assert document.result["tracking"] == f"T-{document.result['order'][:8]}"
    assert document.steps["main"].attempt == 1
    assert len(flows.notes("charged", customer="ann")) == 1


def test_what_fails_undoes_what_it_has_registered(flows):
    run = flows.start("f.order.v1", customer="bob")
    flows.client.signal(run, "ready", payload=False)
    document = flows.ended(run)
    assert (document.state, document.error.message) == ("failed", "nothing is left")
    assert document.steps["undo:give-back"].state == "completed"
    assert len(flows.notes("given back", thing="bob")) == 1
    with pytest.raises(errors.NotPossible, match="is undone"):
        flows.client.retry(run)


def test_a_step_that_fails_for_good_fails_the_function_that_does_not_catch_it(flows):
    run = flows.start("f.order.v1", customer="nobody")
    document = flows.ended(run)
    assert document.state == "failed"
    assert document.error.type == "StepFailed"
    assert document.error.message == "step charge: Abort: no such customer"
    assert document.steps["charge"].state == "discarded"


def test_a_cancelled_run_undoes_too_and_its_waits_end(flows):
    run = flows.start("f.order.v1", customer="cleo")
    flows.until(run, "ready", "waiting")
    flows.client.cancel(run)
    document = flows.ended(run)
    assert document.state == "cancelled"
    assert (document.steps["main"].state, document.steps["ready"].state) == ("cancelled", "cancelled")
    assert len(flows.notes("given back", thing="cleo")) == 1


def test_inputs_that_do_not_fit_are_refused_where_the_code_is_and_fail_the_run_elsewhere(flows):
    document = flows.ended(flows.start("f.order.v1", amount="many"))
    assert (document.state, document.error.reason) == ("failed", "invalid_payload")
    assert "payload.customer" in document.error.message
    assert document.steps["main"].attempt == 1


def test_signals_during_a_step_and_before_a_wait_come_in_order_and_repeat_nothing(flows):
    name = secrets.token_hex(4)
    run = flows.start("f.signalled.v1", name=name)
    flows.until(run, "gate", "running")
    for text in ("a", "b"):
        flows.client.signal(run, "more", text)
    flows.until(run, "more-3", "waiting")
    (flows.desk.home / f"open-{name}").touch()
    flows.until(run, "gate", "completed")
    flows.client.signal(run, "more", "c")
    assert flows.ended(run).result == [name, "a", "b", "c"]
    assert len(flows.notes("began", name=name)) == 1, "as often as it was asked for"


def test_a_wait_that_is_over_is_an_error_that_can_be_caught(flows):
    document = flows.ended(flows.start("f.impatient.v1"))
    assert (document.state, document.result, document.warnings) == ("completed", "never", 0)


def test_an_answer_holds_what_the_form_asks_for(flows):
    run = flows.start("f.asks.v1")
    flows.until(run, "manager", "waiting")
    assert flows.client.get(run).steps["manager"].wait["prompt"] == "fine?"
    with pytest.raises(errors.InvalidInput, match="note"):
        flows.client.approve(run, "manager", {"count": 3})
    flows.client.approve(run, "manager", {"note": "go"}, sender="ada")
    assert flows.ended(run).result == "ada: go"


def test_two_hundred_steps_side_by_side_wake_it_once(flows):
    run = flows.start("f.wide.v1", count=200)
    assert flows.ended(run).result == 2 * sum(range(200))
    parts = flows.desk.one("select count(*) from tributary.history where run_id = %s", run)[0]
    assert parts == 2, "asked for at once, and noted at once"


def test_children_are_functions_or_workflows_of_files_and_may_fail(flows):
    document = flows.ended(flows.start("f.parent.v1", child="f.leaf.v1", inputs={"what": "x"}))
    assert document.result == "got X"
    assert flows.client.get(document.steps["below"].child).name == "f.leaf.v1"
    bad = flows.ended(flows.start("f.parent.v1", child="f.leaf.v1", inputs={"what": "bad"}))
    assert bad.result == "below: ChildRunFailed: child_failed"
    missing = flows.ended(flows.start("f.parent.v1", child="no.such.v1", inputs={}))
    assert missing.result == "below: NotFound: unknown_workflow"
    path = flows.desk.home / "f_file_v1.yaml"
    path.write_text(
        "name: f.file.v1\ninputs: {what: {type: string}}\n"
        "steps: {one: {task: f.double.v1, with: {x: 4}}}\n"
        'result: "${{ inputs.what }} ${{ steps.one.result }}"\n'
    )
    flows.desk.register(path)
    of_file = flows.ended(flows.start("f.parent.v1", child="f.file.v1", inputs={"what": "y"}))
    assert of_file.result == "got y 8"


def test_a_function_is_a_child_of_a_workflow_of_a_file(flows):
    run = flows.desk.run(
        'steps: {leaf: {workflow: f.leaf.v1, with: {what: z}}}\nresult: "${{ steps.leaf.result }}"'
    )
    assert flows.ended(run).result == "Z"


@pytest.mark.parametrize("dies", [False, True])
def test_a_transaction_happens_once_whatever_dies_after_it(flows, dies):
    run = flows.start("f.once.v1", dies=dies)
    document = flows.ended(run, 40)
    paid = flows.desk.sql.execute("select pid from effects where id = %s", (run,)).fetchall()
    assert len(paid) == 1, "what failed inside its transaction has left nothing either"
    assert document.result == f"paid by {paid[0][0]}, psycopg.errors.DivisionByZero, 2", document.error
    assert (flows.desk.home / f"died-{run}").exists() == dies


def test_a_lost_connection_is_no_failure_of_the_function_and_a_mistake_is(flows):
    run = flows.start("f.cut.v1")
    assert flows.ended(run).result == "UndefinedTable, 1"
    assert flows.desk.one("select count(*) from effects where id = %s", run)[0] == 1
    begins = [json.loads(line) for line in flows.desk.log().splitlines() if "it begins" in line]
    assert {(line["run_id"], line["step"]) for line in begins} == {(run, "main")}
    assert "it begins" in {line.text for line in flows.client.logs(run)}


def test_resources_are_given_to_functions_and_to_what_they_do_in_place(flows, here):
    run = flows.start("f.prices.v1", what="x")
    assert flows.ended(run).result == 3 + 30 + 30 + 300
    assert len(flows.notes("opened")) <= 2, "once in each process"
    assert flows.client.replay(run).comes_to == "ends", "and to a replay"


def test_it_begins_anew_as_often_as_it_likes(flows):
    run = flows.start("f.count.v1", left=4)
    document = flows.ended(run)
    assert document.result == 2 * (4 + 3 + 2 + 1)
    assert sorted(document.steps) == ["double", "main"], "what is over is forgotten"
    assert document.inputs == {"left": 0, "seen": 20}


@pytest.mark.parametrize("latest", [False, True])
def test_it_is_submitted_once_more(flows, latest):
    first = flows.client.submit("f.wide.v1", {"count": 3}, priority=70, labels={"by": "hand"})
    assert flows.ended(first.id).result == 6
    again = flows.ended(flows.client.rerun(first.id, latest=latest).id)
    assert (again.kind, again.result, again.labels) == ("run", 6, {"by": "hand"})
    assert {step.priority for step in again.steps.values()} == {70}, "what it asks for has it too"


def test_a_retry_goes_on_where_it_failed(flows):
    name = secrets.token_hex(4)
    run = flows.start("f.flaky.v1", name=name)
    assert flows.ended(run).error.type == "StepFailed"
    (flows.desk.home / f"mended-{name}-step").touch()
    flows.client.retry(run)
    document = flows.ended(run)
    assert (document.state, document.error.message) == ("failed", "not mended")
    (flows.desk.home / f"mended-{name}").touch()
    # its dead letter names the function's own step: that is all of it
    flows.client.requeue(f"{run}/main")
    document = flows.ended(run)
    assert (document.state, document.result) == ("completed", 2)
    assert document.steps["double"].attempt == 1, "what had completed did not run again"


@pytest.mark.parametrize("by_name", [False, True], ids=["function", "name"])
def test_a_schedule_starts_it(flows, here, by_name):
    name = secrets.token_hex(4)
    target = "f.leaf.v1" if by_name else here.leaf
    flows.client.schedule(name, "@yearly", target, {"what": "x"})
    document = flows.ended(flows.client.trigger_schedule(name))
    assert (document.kind, document.state, document.result) == ("run", "completed", "X")
    flows.client.unschedule(name)


def test_a_name_that_is_submitted_as_an_intent_says_what_it_is(flows):
    intent = flows.desk.submit("f.leaf.v1", {"what": "x"})
    flows.desk.until(intent, "discarded")
    assert "is a workflow function" in flows.desk.errors(intent)[0][3]
    (reason,) = flows.client.why(intent).reasons
    assert "`trib submit f.leaf.v1`" in str(reason)


def test_a_step_that_calls_it_like_a_handler_says_what_it_is(flows, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("name: t.wrong.v1\nsteps: {x: {task: f.leaf.v1, with: {what: x}}}\n")
    run = flows.client.submit(path).id
    document = flows.ended(run)
    assert (document.state, document.steps["x"].attempt) == ("failed", 1)
    assert "`workflow: f.leaf.v1`" in str(flows.client.why(run).reasons)


def test_histories_are_replayed_and_queries_answered_where_the_code_is(flows, here):
    receipt = flows.client.submit(here.order, here.Order(customer="dora"))
    flows.until(receipt.id, "ready", "waiting")
    recorded = flows.client.history(receipt.id)
    assert [event["type"] for event in recorded.history.events] == [
        "began",
        "asked",
        "ended",
        "undo",
        "asked",
    ]
    verdict = flows.client.replay(recorded)
    assert (verdict.fits, verdict.comes_to, verdict.events) == (True, "waits", 5)
    number = flows.client.query(receipt.id, "number")
    assert flows.client.query(receipt.id, "greet", name="hi") == "hi: dora"
    with pytest.raises(errors.InvalidInput, match="it answers: greet, number"):
        flows.client.query(receipt.id, "weight")
    with pytest.raises(errors.InvalidInput, match="the query 'greet' failed"):
        flows.client.query(receipt.id, "greet", nobody=1)
    flows.client.signal(receipt.id, "ready", payload=True)
    assert receipt.wait(timeout=30).result["order"] == number
    assert flows.client.replay(receipt.id).comes_to == "ends"
    with pytest.raises(errors.InvalidInput, match="customer"):
        flows.client.submit(here.order, {"amount": 3})
    with pytest.raises(errors.NotPossible, match="no workflow function"):
        flows.client.history(flows.desk.run("steps: {a: {task: f.double.v1, with: {x: 1}}}"))
    with pytest.raises(errors.NotFound):
        flows.client.history("01890000-0000-7000-8000-000000000000")


def test_a_killed_process_loses_nothing_and_repeats_no_step(desk, crew, tmp_path):
    shutil.copy(FLOWS, tmp_path / "flows_for_tests.py")
    crew("--import", "./flows_for_tests.py")
    with Client(desk.url) as client:
        flow = Flows(desk, client)
        desk.wait(
            lambda: desk.one("select true from tributary.workflows where name = 'f.signalled.v1'"), 20, "up"
        )
        run = flow.start("f.signalled.v1", name="k")
        flow.until(run, "gate", "running")
        client.signal(run, "more", "a")
        flow.until(run, "more-2", "waiting")
        os.kill(desk.pids()[0], signal.SIGKILL)
        (desk.home / "open-k").touch()
        for text in ("b", "c"):
            client.signal(run, "more", text)
        document = flow.ended(run, 40)
        assert document.result == ["k", "a", "b", "c"], document.error
        assert len(flow.notes("ended", name="k")) == 1


BEFORE = """
from tributary_daemon import WorkflowContext, workflow

@workflow("c.change.v1")
async def change(ctx: WorkflowContext) -> str:
    await ctx.wait_signal("go")
    await ctx.wait_signal("on")
    return "before"
"""
AFTER = BEFORE.replace('wait_signal("go")', "sleep(0.01)").replace('"before"', '"after"')
PATCHED = BEFORE.replace(
    '    await ctx.wait_signal("on")\n',
    '    if not ctx.patched("fast"):\n        await ctx.wait_signal("on")\n',
)


def test_changed_code_parks_a_run_and_code_that_fits_goes_on_with_it(desk, worker, tmp_path):
    def serve(code):
        (tmp_path / "changing.py").write_text(code)
        return worker("--import", "./changing.py", "--processes", "1")

    with Client(desk.url) as client:
        flow = Flows(desk, client)
        before = serve(BEFORE)
        desk.wait(lambda: desk.one("select true from tributary.workflows"), 20, "registered")
        run = flow.start("c.change.v1")
        flow.until(run, "go", "waiting")
        before.stop()
        client.signal(run, "go")
        after = serve(AFTER)
        flow.until(run, "main", "scheduled")
        assert flow.states(run)["main"] == ("scheduled", "nondeterminism")
        assert client.get(run).state == "waiting", "parked, not failed"
        (told,) = client.why(run, "main").reasons
        assert told.code == "nondeterminism"
        assert "its history has signal go, but it asks for sleep sleep" in told.message
        after.stop()
        # the history has not come to the patch yet, so that this run has what is new
        serve(PATCHED)
        assert flow.ended(run).result == "before"
        kinds = {event.type for event in client.events(run).items}
        assert "step_parked" in kinds
