"""Documents, lists, ids, waiting and steering through the client, on a real database."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tributary_daemon import app
from tributary_daemon.errors import (
    AmbiguousId,
    DatabaseUnreachable,
    InvalidInput,
    NotFound,
    WaitTimeout,
)

ERROR = {"type": "ValueError", "message": "no", "reason": None, "exit_code": None}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_run_from_submit_to_end(client, hand, diamond):
    hand.offer("test.a.v1")
    receipt = client.submit(diamond)
    assert receipt.state == "available"
    assert client.get(receipt.id).state == "available"
    row = hand.claim()
    document = client.get(receipt.id)
    assert document.state == "running"
    assert document.steps["top"].worker == "hand"
    assert document.started_at is not None
    hand.finish(row, "completed", result={"n": 1})
    while (row := hand.claim()) is not None:
        hand.finish(row, "completed", result=row[1])
    document = receipt.wait(timeout=5)
    assert (document.state, document.error) == ("completed", None)
    # no `result:` in the file: what nobody needs is the result
    assert document.result == {"bottom": 5, "alone": 2} or set(document.result) == {"bottom", "alone"}
    plain = document.to_json()
    assert list(plain["steps"]) == [step.id for step in document.steps.values()]
    assert plain["steps"]["bottom"]["needs"] == ["left", "right"]
    assert set(plain["steps"]["top"]) >= {
        "state", "attempt", "result", "error", "reason", "queue", "needs", "started_at", "finished_at",
    }  # fmt: skip
    for key in ("created_at", "started_at", "finished_at"):
        assert TIME.fullmatch(plain[key])


def test_a_failed_run_names_its_step_and_what_it_skipped(client, hand, diamond):
    hand.offer("test.a.v1")
    receipt = client.submit(diamond, max_attempts=1)
    row = hand.claim()
    hand.finish(row, "discarded", error=ERROR)
    row = hand.claim()
    hand.finish(row, "completed", result=None)
    document = client.get(receipt.id)
    assert document.state == "failed"
    assert document.error.to_json() == {**ERROR, "attempt": 1, "step": "top"}
    assert document.steps["bottom"].state == "skipped"
    assert document.steps["bottom"].reason == "upstream"
    why = client.why(receipt.id, "left").to_json()
    assert why["reasons"][0]["code"] == "upstream"
    assert "top (discarded)" in why["reasons"][0]["message"]
    letter = client.dead_letter(f"{receipt.id}/top")
    assert (letter.ref, letter.attempt, letter.reason) == (f"{receipt.id}/top", 1, "discarded")
    assert client.dead_letter(receipt.id).ref == letter.ref
    assert client.requeue(letter.ref) == "running"
    assert client.dead_letters().items == ()


def test_a_tolerated_failure_is_a_warning(client, hand, diamond):
    hand.offer("test.a.v1")
    receipt = client.submit(diamond)
    names = {step.id: n for n, step in enumerate(client.get(receipt.id).steps.values(), start=1)}
    while (row := hand.claim()) is not None:
        if row[1] == names["right"]:
            hand.finish(row, "discarded", error=ERROR)
        else:
            hand.finish(row, "completed", result=1)
    document = client.get(receipt.id)
    assert (document.state, document.warnings) == ("completed", 1)
    assert document.steps["right"].error.type == "ValueError"
    assert client.dead_letters().items == ()


def test_attempts_of_an_intent(client, hand):
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1", {"n": 1})
    hand.finish(hand.claim(), "retry", error=ERROR, delay=0.0)
    row = hand.claim()
    document = client.get(receipt.id)
    assert [(a.attempt, a.outcome) for a in document.attempts] == [(1, "retry"), (2, "running")]
    assert document.attempts[0].error.message == "no"
    assert document.attempts[1].worker == "hand"
    hand.finish(row, "completed", result=[1, {"a": None}])
    document = client.get(receipt.id).to_json()
    assert (document["state"], document["attempt"], document["error"]) == ("completed", 2, None)
    assert document["result"] == [1, {"a": None}]
    assert [a["outcome"] for a in document["attempts"]] == ["retry", "completed"]


def test_a_dead_letter_of_an_intent_is_listed_shown_and_dropped(client, hand):
    hand.offer("test.a.v1")
    ids = [client.submit("test.a.v1", {"n": n}).id for n in range(3)]
    for _ in ids:
        hand.finish(hand.claim(), "discarded", error=ERROR)
    page = client.dead_letters(limit=2)
    assert [letter.id for letter in page.items] == [ids[2], ids[1]]
    rest = client.dead_letters(limit=2, after=page.after)
    assert [letter.id for letter in rest.items] == [ids[0]]
    assert rest.after is None
    letter = client.dead_letter(ids[0])
    assert letter.payload == {"n": 0}
    assert letter.error.type == "ValueError"
    client.drop(ids[0])
    with pytest.raises(NotFound, match="no dead letter"):
        client.dead_letter(ids[0])
    assert client.get(ids[0]).state == "discarded"
    assert client.requeue(ids[1]) == "available"
    with pytest.raises(InvalidInput, match="no cursor"):
        client.dead_letters(after="nonsense")


def test_lists_page_from_the_newest(client, diamond):
    ids = [client.submit("test.a.v1").id for _ in range(3)]
    run = client.submit(diamond, labels={"env": "x"})
    page = client.list(limit=2)
    assert [item.id for item in page.items] == [run.id, ids[2]]
    assert page.items[0].to_json()["steps_total"] == 5
    rest = client.list(limit=2, after=page.after)
    assert [item.id for item in rest.items] == [ids[1], ids[0]]
    assert client.list(after=rest.after).items == ()
    assert [item.id for item in client.list(kind="run").items] == [run.id]
    assert [item.id for item in client.list(name="test.a.v1", limit=1).items] == [ids[2]]
    assert [item.id for item in client.list(labels={"env": "x"}).items] == [run.id]
    assert client.list(labels={"env": "y"}).items == ()
    assert len(client.list(state="waiting").items) == 4
    assert client.list(state="completed").items == ()
    assert len(client.list(since="1h").items) == 4
    assert client.list(since=datetime.now(UTC) + timedelta(hours=1)).items == ()


@pytest.mark.parametrize(
    "filters", [{"state": "done"}, {"kind": "step"}, {"limit": 0}, {"after": "x"}, {"since": "yesterday"}]
)
def test_malformed_filters_are_refused(client, filters):
    with pytest.raises(InvalidInput):
        client.list(**filters)


@pytest.mark.parametrize("state", ["available", "scheduled", "running", "waiting", "completed", "cancelled"])
def test_lists_know_derived_states(client, hand, diamond, state):
    hand.offer("test.a.v1")
    client.submit("test.a.v1", run_after="9h", queue="elsewhere")
    made = client.submit(diamond, run_after="1h" if state == "scheduled" else None)
    if state in {"running", "waiting", "completed"}:
        rows = []
        while (row := hand.claim()) is not None:
            rows.append(row)
            if state == "completed":
                hand.finish(row, "completed", result=1)
        if state == "waiting":
            for row in rows:
                hand.finish(row, "retry", error=ERROR, delay=600.0)
    if state == "cancelled":
        client.cancel(made.id)
    assert [item.id for item in client.list(state=state, kind="run").items] == [made.id]
    assert client.get(made.id).state == state


def test_ids_by_head_tail_and_latest(client):
    first = client.submit("test.a.v1").id
    second = client.submit("test.a.v1").id
    assert client.resolve_id("@latest") == second
    assert client.resolve_id(first[-8:]) == first
    assert client.resolve_id(first[-12:].upper()) == first
    assert client.resolve_id(first[:18]) == first or first[:18] == second[:18]
    assert client.resolve_id(first.replace("-", "")) == first
    assert client.get(second[-8:]).id == second
    with pytest.raises(AmbiguousId, match=second):
        client.resolve_id(second[:7])
    with pytest.raises(NotFound):
        client.resolve_id("ffffffffff")
    with pytest.raises(NotFound, match="is not an id"):
        client.resolve_id("census")
    with pytest.raises(AmbiguousId, match="too short"):
        client.resolve_id("abc")
    with pytest.raises(NotFound, match="no run or intent has the id"):
        client.get("01234567-89ab-7def-8123-456789abcdef")


def test_what_is_no_text_is_no_id_and_the_message_says_what_is(client):
    receipt = client.submit("test.a.v1")
    with pytest.raises(InvalidInput, match="an id is text, not a Receipt") as refused:
        client.wait(receipt)
    assert "receipt.wait()" in refused.value.hint
    with pytest.raises(InvalidInput, match="not a UUID"):
        client.cancel(UUID(receipt.id))


def test_every_head_and_tail_that_is_long_enough_means_its_id(client, diamond):
    for known in (client.submit("test.a.v1").id, client.submit(diamond).id):
        digits = known.replace("-", "")
        assert {client.resolve_id(digits[-count:]) for count in range(12, 33)} == {known}
        # ids of one moment share their first digits
        assert {client.resolve_id(digits[:count]) for count in range(20, 33)} == {known}
        with pytest.raises(NotFound):
            client.resolve_id(digits[-12:-1] + ("1" if digits[-1] == "0" else "0"))
    with pytest.raises(NotFound, match="is not an id"):
        client.resolve_id("0" * 33)


def test_latest_of_nothing_is_not_found(client):
    with pytest.raises(NotFound, match="no run or intent yet"):
        client.get("@latest")


def test_wait_ends_with_the_work_and_shows_it_on_the_way(client, hand, database):
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    seen = []

    def work(document):
        if not seen:
            hand.finish(hand.claim(), "completed", result=7)
        seen.append(document.state)

    assert client.wait(receipt.id, timeout=10, seen=work).result == 7
    assert seen[0] == "available"


def test_wait_gives_up_in_time(client):
    receipt = client.submit("test.a.v1")
    with pytest.raises(WaitTimeout, match="has not ended after 50ms"):
        receipt.wait(timeout="50ms")
    with pytest.raises(NotFound):
        client.wait("01234567-89ab-7def-8123-456789abcdef", timeout=1)


def test_wait_survives_a_connection_that_is_cut(client, hand):
    hand.offer("test.a.v1")
    receipt = client.submit("test.a.v1")
    cuts = []

    def cut(_):
        if len(cuts) < 3:
            cuts.append(
                hand.sql(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                    " where application_name = 'trib client' and datname = current_database()"
                )
            )
        elif len(cuts) == 3:
            cuts.append(hand.finish(hand.claim(), "completed", result=1))

    assert client.wait(receipt.id, timeout=20, poll=0.05, seen=cut).state == "completed"


def test_a_client_reconnects_after_its_connection_was_cut(client, hand):
    first = client.submit("test.a.v1")
    hand.sql(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where application_name = 'trib client' and datname = current_database()"
    )
    # a submit without key is not repeated blindly: the dead connection is noticed before it is sent
    second = client.submit("test.a.v1")
    assert {item.id for item in client.list().items} == {first.id, second.id}


def test_no_server_is_said_clearly():
    client = app.Client("postgresql://nobody:hush@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnreachable) as caught:
        client.list()
    assert "127.0.0.1:1" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_threads_share_a_client(client):
    ids = []
    threads = [
        threading.Thread(target=lambda n=n: ids.append(client.submit("test.a.v1", {"n": n}).id))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8
