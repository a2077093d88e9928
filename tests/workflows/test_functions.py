"""The examples of workflow functions: run by a real worker, and replayed from a history kept as a file."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.worker_process import launch, own_env
from tributary_daemon.app import Client
from tributary_daemon.client.replaying import RecordedRun, replay
from tributary_daemon.engine.replay import Replay
from tributary_daemon.handlers.discovery import discover, module_name_of
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.model.history import FIRST, Ending, History

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"warehouse": "warehouse.order.v1", "loan": "loan.application.v1", "travel": "travel.trip.v1"}
GOLDEN = Path(__file__).with_name("golden") / "loan.json"
PAGE = (ROOT / "docs" / "workflow-functions.md").read_text(encoding="utf-8")
# the same once more, in a hurry
CODE = "\n\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
HASTY = CODE.replace('("billing.', '("hasty.').replace('"14d"', "0.01")
SHOWN = frozenset(re.findall(r'^@workflow\("([\w.]+)"', CODE, re.MULTILINE))
ORDER = {"customer": "ada", "items": ["lamp", "bulb"], "cents": 4590}
LOAN = {"applicant": "ada", "amount": 150_000, "income": 90_000, "reviews": 1, "pause": "10ms"}


class Stage:
    """A database with one worker that has all examples."""

    def __init__(self, client, sql, home, eventually):
        self.client, self.sql, self.home, self.eventually = client, sql, home, eventually

    def result(self, run):
        document = self.ended(run)
        assert document.state == "completed", document.error
        return document.result

    def states(self, run):
        return {step.id: step.state for step in self.client.get(run).steps.values()}

    def until(self, run, step, state="waiting"):
        self.eventually(lambda: self.states(run).get(step) == state, 40, lambda: self.states(run))

    def ended(self, run):
        self.eventually(lambda: self.client.get(run).ended, 40, lambda: self.states(run))
        return self.client.get(run)


@pytest.fixture(scope="module")
def stage(server, template, tmp_path_factory, eventually, nursery):
    name = f"test_{secrets.token_hex(6)}"
    home = tmp_path_factory.mktemp("functions")
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    (home / "page.py").write_text(CODE)
    (home / "hasty.py").write_text(HASTY.partition('@handler("stock.')[0])
    files = [home / "page.py", home / "hasty.py", *(ROOT / f"workflows/{file}.py" for file in NAMES)]
    imports = [word for file in files for word in ("--import", str(file))]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
    try:
        with Client(url) as client, psycopg.connect(url, autocommit=True) as sql:
            process = launch(
                nursery, ["worker", "--processes", "1", *imports], own_env(url, home), home, home / "log"
            )
            try:
                known = "select array_agg(name) from tributary.workflows"
                due = {*NAMES.values(), *SHOWN, "hasty.invoice.v1"}
                eventually(
                    lambda: set(sql.execute(known).fetchone()[0] or ()) >= due, 60,
                    lambda: (home / "log").read_text(errors="replace"),
                )  # fmt: skip
                yield Stage(client, sql, home, eventually)
                process.terminate()
                process.wait(30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                print((home / "log").read_text(errors="replace"))
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.mark.parametrize("file", NAMES)
def test_the_example_says_how_to_run_it(file):
    text = (ROOT / f"workflows/{file}.py").read_text(encoding="utf-8")
    assert f"    trib worker --import ./workflows/{file}.py\n    trib submit {NAMES[file]} -i " in text


def test_an_order_is_shipped_once_the_warehouse_has_answered(stage):
    run = stage.client.submit("warehouse.order.v1", ORDER).id
    stage.until(run, "warehouse-ready")
    assert stage.client.query(run) == "paid; the warehouse looks for it"
    stage.client.signal(run, "warehouse-ready", {"available": True, "shelf": "C4"})
    document = stage.ended(run)
    assert (document.state, document.steps["ship"].state) == ("completed", "completed")
    tail = document.result["order_id"].replace("-", "")[-8:]
    assert document.result["payment"] == f"pay-{tail}"
    assert document.result["tracking"] == f"C4-2-{tail}"


def test_an_order_of_which_the_warehouse_has_nothing_is_refunded(stage):
    run = stage.client.submit("warehouse.order.v1", ORDER).id
    stage.client.signal(run, "warehouse-ready", {"available": False})
    document = stage.ended(run)
    assert (document.state, document.error.message) == (
        "failed", "the warehouse has not got all of lamp, bulb",
    )  # fmt: skip
    assert "ship" not in document.steps
    assert document.steps["undo:refund"].result == document.steps["charge"].result["payment"]


def test_a_cancelled_order_is_refunded_too(stage):
    run = stage.client.submit("warehouse.order.v1", ORDER).id
    stage.until(run, "warehouse-ready")
    stage.client.cancel(run, "changed my mind")
    document = stage.ended(run)
    assert (document.state, document.steps["undo:refund"].state) == ("cancelled", "completed")


def test_a_large_loan_waits_for_documents_and_a_manager_and_is_paid_out(stage):
    run = stage.client.submit("loan.application.v1", LOAN).id
    stage.client.signal(run, "document", {"kind": "income", "pages": 3})
    stage.until(run, "document-2")
    assert stage.client.query(run) == "waiting for documents: identity"
    # the same once more is taken, and changes nothing
    stage.client.signal(run, "document", {"kind": "income", "pages": 1})
    stage.client.signal(run, "document", {"kind": "identity", "pages": 2})
    stage.until(run, "manager")
    assert stage.client.get(run).steps["manager"].wait["prompt"] == "Lend 150000 to ada?"
    stage.client.approve(run, "manager")
    document = stage.ended(run)
    assert document.state == "completed"
    assert list(document.steps) == [
        "main", "check_credit", "document", "check_document", "document-2", "check_document-2", "document-3",
        "check_document-3", "sleep", "manager", "underwrite", "disburse",
    ]  # fmt: skip
    tail = document.result["application_id"].replace("-", "")[-8:]
    assert document.result == {
        "application_id": document.result["application_id"], "granted": True, "reason": "granted",
        "percent": 4.67, "transfer": f"transfer-{tail}",
    }  # fmt: skip
    assert stage.client.query(run) == "paid out"


def test_a_document_that_is_rejected_refuses_the_loan(stage):
    run = stage.client.submit("loan.application.v1", {**LOAN, "amount": 1000}).id
    stage.client.signal(run, "document", {"kind": "identity", "pages": 0})
    document = stage.ended(run)
    assert (document.state, document.result["granted"]) == ("completed", False)
    assert document.result["reason"] == "the document identity is empty"
    assert "disburse" not in document.steps


@pytest.mark.parametrize(
    ("more", "reason", "missing"),
    [
        ({"amount": 200_000}, "the amount is too high for the income", {"document", "manager"}),
        ({}, "rejected by grace: not now", {"underwrite", "disburse"}),
        ({"amount": 1000, "reviews": 0}, "granted", {"manager", "underwrite"}),
    ],
    ids=["too much", "the manager says no", "small and not reviewed"],
)
def test_a_loan_takes_the_way_that_its_answers_lead(stage, more, reason, missing):
    run = stage.client.submit("loan.application.v1", {**LOAN, **more}).id
    for kind in ("identity", "income") if "document" not in missing else ():
        stage.client.signal(run, "document", {"kind": kind, "pages": 1})
    if "rejected" in reason:
        stage.until(run, "manager")
        stage.client.reject(run, "manager", "not now", sender="grace")
    document = stage.ended(run)
    assert (document.state, document.result["reason"]) == ("completed", reason)
    assert not missing & set(document.steps)


def bookings(stage, directory):
    return sorted(path.name.partition("-")[0] for path in (stage.home / directory).glob("bookings/*"))


def test_a_trip_is_booked(stage):
    run = stage.client.submit(
        "travel.trip.v1", {"traveller": "ada", "to": "Lisbon", "directory": "lisbon"}
    ).id
    document = stage.ended(run)
    assert (document.state, set(document.result)) == ("completed", {"hotel", "flight", "car"})
    assert bookings(stage, "lisbon") == ["car", "flight", "hotel"]


def test_a_trip_without_a_car_gives_flight_and_hotel_back_in_that_order(stage):
    run = stage.client.submit(
        "travel.trip.v1", {"traveller": "ada", "to": "Venice", "directory": "venice"}
    ).id
    document = stage.ended(run)
    assert (document.state, document.error.message) == (
        "failed", "step book_car: Abort: nobody rents out cars in Venice",
    )  # fmt: skip
    undone = sorted(
        (step for step in document.steps.values() if step.id.startswith("undo:")),
        key=lambda step: step.finished_at,
    )
    # of the car there was nothing
    assert [(step.id, step.state, step.result) for step in undone] == [
        ("undo:cancel_car", "completed", False),
        ("undo:cancel_flight", "completed", True),
        ("undo:cancel_hotel", "completed", True),
    ]
    assert undone[0].finished_at <= undone[1].started_at
    assert undone[1].finished_at <= undone[2].started_at
    assert bookings(stage, "venice") == []


# what docs/workflow-functions.md shows


def test_the_invoice_of_the_page_is_paid_or_given_to_collection(stage):
    inputs = {"customer": "ada", "cents": 4590}
    paid = stage.client.submit("billing.invoice.v1", inputs).id
    hasty = stage.client.submit("hasty.invoice.v1", inputs).id
    stage.until(paid, "paid")
    assert stage.client.query(paid) == "waiting for the money, 0 reminders"
    stage.client.signal(paid, "paid", {"by": "card"})
    assert stage.result(paid) == "paid by card"
    assert stage.result(hasty) == "given to collection"
    sent = [step.result for step in stage.client.get(hasty).steps.values() if step.id.startswith("send")]
    assert sent == ["to ada: please pay 45.90", *(f"to ada: reminder {n}" for n in (1, 2, 3))]


def test_changed_code_is_told_as_the_page_shows_it(tmp_path):
    path = tmp_path / "changed.py"
    checked = '    await ctx.run("billing.check.v1")\n'
    path.write_text(CODE.replace("    for reminder in", f"{checked}    for reminder in"))
    assert discover([str(path)], entry_points=False).failures == ()
    at = "2026-03-01T00:00:00+00:00"
    events = [
        {"type": "began", "at": at},
        {"type": "asked", "n": 1, "kind": "run", "name": "billing.send.v1", "id": "send", "ordinal": 3},
        {"type": "ended", "n": 1, "ordinal": 3, "state": "completed", "at": at},
        {"type": "asked", "n": 2, "kind": "signal", "name": "paid", "id": "paid", "ordinal": 4},
    ]
    history = History(events, {3: Ending("completed", at, "sent")})
    inputs = {"customer": "ada", "cents": 4590}
    verdict = replay(RecordedRun(id="run", name="billing.invoice.v1", inputs=inputs, history=history))
    assert f"```\n{verdict.error}\n```" in PAGE


@pytest.mark.parametrize("name", ["test_nobody_pays", "test_the_bank_tells"])
def test_the_tests_of_the_page_pass(name, server, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIB_DATABASE_URL", server)
    path = tmp_path / "page.py"
    path.write_text(CODE)
    assert discover([str(path)], entry_points=False).failures == ()
    getattr(sys.modules[module_name_of(path)], name)()


def test_the_other_functions_of_the_page_do_what_it_says(stage):
    assert len(SHOWN) == 7
    submit = stage.client.submit
    stage.sql.execute("create table accounts (account text primary key, cents integer)")
    stage.sql.execute("insert into accounts values ('ada', 100)")
    total = submit("stock.total.v1", {"shops": ["north", "s"]}).id
    pay = submit("billing.pay.v1", {"account": "ada", "cents": 30}).id
    stay, basket = submit("travel.stay.v1").id, submit("shop.basket.v1").id
    pack, meter = submit("shop.pack.v1", {"order": 7}).id, submit("shop.meter.v1", {"left": 101}).id
    stage.until(stay, "arrived")
    stage.client.cancel(stay, "ill")
    for thing in ("lamp", "bulb", "shade"):
        stage.client.signal(basket, "add", thing)
    stage.client.signal(pack, "packed")
    for _ in range(101):
        stage.client.signal(meter, "sold", 2)
    assert (stage.result(total), stage.states(total)["sleep"]) == (6, "cancelled")
    assert stage.result(pay) == 70
    assert stage.ended(stay).steps["undo:give_back"].state == "completed"
    assert stage.result(basket) == ["lamp", "bulb", "shade"]
    assert (stage.result(pack), stage.states(pack)["gift"]) == ("7 is packed", "completed")
    assert stage.result(meter) == 202


# the history of a loan that went through all of it


@pytest.fixture(scope="module")
def golden():
    return RecordedRun.from_json(json.loads(GOLDEN.read_text(encoding="utf-8")))


@pytest.fixture
def loan(example):
    """The code of this tree, imported."""
    return example("loan")


def go_on(golden, length):
    """Go on from the first events of a history: what is asked for ends as it did, in that order."""
    handler = REGISTRY.get(golden.name)
    arguments = handler.signature.validate(json.dumps(golden.inputs))
    events = [dict(event) for event in golden.history.events[:length]]
    asked = [event["ordinal"] for event in events if event["type"] == "asked"]
    endings = {e["ordinal"]: golden.history.endings[e["ordinal"]] for e in events if e["type"] == "ended"}
    made = max([FIRST - 1, *asked]) + 1
    while True:
        history = History(events, endings, 1, made)
        at = golden.history.events[0]["at"]
        replay = Replay(handler, arguments, run_id=golden.id, history=history, at=at)
        replay.advance()
        events = [*events, *replay.new]
        made += len(replay.asks())
        if replay.ended:
            return events, replay.result()
        opened = replay.open()
        replay.close()
        first = min(opened, key=lambda ordinal: golden.history.endings[ordinal].at)
        endings = {**endings, first: golden.history.endings[first]}


def test_the_golden_history_went_all_the_way(golden):
    names = [event["name"] for event in golden.history.events if event["type"] == "asked"]
    assert names[-4:] == ["sleep", "manager", "loan.underwrite.v1", "loan.disburse.v1"]
    assert names.count("document") == 3


def test_the_golden_history_is_replayed_whole(golden, loan):
    verdict = replay(golden)
    assert (verdict.fits, verdict.comes_to, verdict.events) == (True, "ends", len(golden.history.events))


def test_the_golden_history_cut_anywhere_is_gone_on_from_to_the_same_end(golden, loan):
    whole = [dict(event) for event in golden.history.events]
    ends = []
    for length in range(len(whole) + 1):
        events, result = go_on(golden, length)
        assert events == whole, length
        ends.append(result)
    assert len(ends) > 20
    assert ends == [ends[0]] * len(ends)
    assert (ends[0].granted, ends[0].percent) == (True, 4.67)
