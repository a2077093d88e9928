"""Steering through the client: cancel, retry, why, queues, events, tenants, on a real database."""

from __future__ import annotations

import re

import pytest

from tributary_daemon import app
from tributary_daemon.errors import NotFound, NotPossible

ERROR = {"type": "ValueError", "message": "no", "reason": None, "exit_code": None}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_cancel_in_any_state(client, hand, diamond):
    hand.offer("test.a.v1")
    run = client.submit(diamond)
    row = hand.claim()
    assert client.cancel(run.id, "enough") == "running"
    document = client.get(run.id)
    assert (document.state, document.reason) == ("cancelled", "enough")
    assert {step.state for step in document.steps.values()} == {"cancelled"}
    assert hand.finish(row, "completed", result=1), "a late finish is refused"
    with pytest.raises(NotPossible, match="has ended"):
        client.cancel(run.id)
    with pytest.raises(NotFound):
        client.cancel("01234567-89ab-7def-8123-456789abcdef")
    why = client.why(run.id)
    assert why.reasons[0].code == "cancelled"
    assert "enough" in why.reasons[0].message


def test_retry_of_a_failed_run_and_from_a_step(client, hand, diamond):
    hand.offer("test.a.v1")
    run = client.submit(diamond)
    hand.finish(hand.claim(), "discarded", error=ERROR)
    hand.finish(hand.claim(), "completed", result=1)
    assert client.retry(run.id) == "running"
    while (row := hand.claim()) is not None:
        hand.finish(row, "completed", result=1)
    assert client.get(run.id).state == "completed"
    with pytest.raises(NotPossible, match="name the step to start from"):
        client.retry(run.id)
    assert client.retry(run.id, "left") == "running"
    states = {step.id: step.state for step in client.get(run.id).steps.values()}
    assert (states["left"], states["bottom"], states["right"]) == ("available", "blocked", "completed")
    with pytest.raises(NotPossible):
        client.retry(run.id)


def test_why_says_what_holds_work(client, hand, diamond):
    def told(work_id, step=None):
        (reason,) = client.why(work_id, step).reasons
        return reason

    never = client.submit("test.a.v1")
    assert told(never.id).code == "no_handler"
    hand.offer("test.a.v1")
    assert told(never.id).code == "no_worker"
    client.pause_queue("default")
    reason = told(never.id)
    assert (reason.code, reason.hint) == ("queue_paused", "`trib queue resume default`")
    assert client.resume_queue("default")
    assert not client.resume_queue("default")
    later = client.submit("test.a.v1", run_after="1h")
    assert told(later.id).code == "scheduled"
    row = hand.claim()
    assert "runs in hand (pid 4711)" in told(never.id).message
    hand.finish(row, "retry", error=ERROR, delay=600.0)
    reason = told(never.id)
    assert reason.code == "retry"
    assert "ValueError: no" in reason.message
    run = client.submit(diamond)
    assert told(run.id, "bottom").message == "it needs left (blocked), right (blocked)"
    assert {reason.step for reason in client.why(run.id).reasons} == {
        "top",
        "left",
        "right",
        "bottom",
        "alone",
    }
    with pytest.raises(NotFound, match="did you mean 'bottom'"):
        client.why(run.id, "botom")
    with pytest.raises(NotFound, match="is an intent"):
        client.why(never.id, "x")


def test_why_tells_a_worker_of_the_queue_from_one_that_has_the_handler(client, hand):
    hand.offer("test.a.v1", "trib.shell.v1")
    add = """select tributary.register_worker('w', 'box', 77, '0.1', 1, '{default:4}', %s, 20, '[]')"""
    hand.sql(add, [["test.b.v1"]])
    intent, shell = client.submit("test.a.v1"), client.submit("trib.shell.v1", {"run": "true"})
    (reason,) = client.why(intent.id).reasons
    assert reason.code == "no_handler"
    assert reason.message == "no live worker that serves the queue default has the handler test.a.v1"
    (reason,) = client.why(shell.id).reasons
    assert reason.message == "no worker runs shell steps"
    hand.sql(add, [["test.a.v1"]])
    assert client.why(intent.id).reasons[0].code == "ready"


def test_queues_workers_and_handlers(client, hand):
    assert [queue.name for queue in client.queues()] == ["default"]
    hand.offer("test.a.v1")
    worker_id = hand.sql(
        "select tributary.register_worker('w1', 'box', 77, '0.1', 1, '{default,heavy:4}', '{}', 20, '[]')"
    )[0][0]
    hand.sql("select tributary.register_process('w1-1', 'python', '{}', 78, %s)", [worker_id])
    client.submit("test.a.v1", queue="heavy")
    client.pause_queue("other")
    queues = {queue.name: queue.to_json() for queue in client.queues()}
    assert list(queues) == ["default", "heavy", "other"]
    assert (queues["heavy"]["available"], queues["heavy"]["workers"]) == (1, 1)
    assert queues["other"]["paused"]
    assert TIME.fullmatch(queues["other"]["paused_at"])
    (worker,) = client.workers()
    plain = worker.to_json()
    assert (plain["name"], plain["alive"], plain["pid"]) == ("w1", True, 77)
    assert [process["pid"] for process in plain["processes"]] == [78]
    assert isinstance(plain["id"], str)
    (handler,) = client.handlers()
    assert (handler.name, handler.is_enabled) == ("test.a.v1", True)
    assert handler.offered_at is not None


def test_events_page_behind_a_cursor(client, hand, diamond):
    hand.offer("test.a.v1")
    run = client.submit(diamond)
    page = client.events(run.id)
    assert [event.type for event in page.items] == ["run_created"]
    hand.finish(hand.claim(), "completed", result=1)
    news = client.events(run.id, after=page.after)
    assert [event.type for event in news.items] == ["step_started", "step_completed"]
    assert news.items[0].step == "top"
    assert client.events(run.id, after=news.after).items == ()
    assert {event.id for event in client.events().items} == {run.id}
    assert TIME.fullmatch(news.items[0].to_json()["at"])


def test_a_tenant_sees_its_own_work(database):
    with app.Client(database, tenant="acme") as acme, app.Client(database) as everyone:
        mine = acme.submit("test.a.v1", idempotency_key="k")
        other = everyone.submit("test.a.v1", idempotency_key="k")
        assert mine.id != other.id
        assert [item.id for item in acme.list().items] == [mine.id]
        assert len(everyone.list().items) == 2
        assert acme.get(mine.id).tenant == "acme"
        assert everyone.get(other.id).tenant == ""
