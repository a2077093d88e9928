"""The hook ``audit``: rows or lines for submits and for ends of attempts."""

from __future__ import annotations

import hashlib
import json

import pytest

from tributary_daemon import Abort, Retry, Snooze, Workflow, app, events, handler
from tributary_daemon.errors import ConfigError, DatabaseError, HandlerTimeout, LeaseLost, StepCancelled
from tributary_daemon.handlers.hook_events import HookFailed
from tributary_daemon.handlers.hooks import Host
from tributary_daemon.hooks.audit import Audit, _action
from tributary_daemon.model import masking
from tributary_daemon.testing import Bench


@pytest.fixture
def charge():
    begun = []

    @handler("pay.charge.v1", retry=Retry(delay=1, jitter=0))
    def charge(cents: int) -> str:
        begun.append(cents)
        if len(begun) == 1:
            raise Snooze(5)
        if len(begun) == 2:
            raise ValueError("not yet")
        return "charged"


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def test_each_submit_and_each_end_of_an_attempt_is_a_row(charge):
    flow = Workflow("pay.order.v1").add("charge", "pay.charge.v1", {"cents": 3})
    with Bench(hooks=[Audit()]) as bench:
        document = bench.run(flow)
        rows = bench._connection.execute(
            "select action, name, step, attempt, payload_hash, result_hash, payload, error,"
            " run_id::text = %s, login = session_user from tributary.audit_log order by audit_id",
            [document.id],
        ).fetchall()
    payload = digest('{"cents":3}')
    assert rows == [
        ("submitting", "pay.order.v1", None, None, digest("{}"), None, None, None, True, True),
        ("put_off", "pay.charge.v1", "charge", 1, payload, None, None, "Snooze: snoozed for 5", True, True),
        ("failed", "pay.charge.v1", "charge", 1, payload, None, None, "ValueError: not yet", True, True),
        ("completed", "pay.charge.v1", "charge", 2, payload, digest('"charged"'), None, None, True, True),
    ]


def test_a_file_gets_a_line_for_each(charge, tmp_path):
    path = tmp_path / "audit.jsonl"
    with Bench(hooks=[Audit(file=path, payloads="full")]) as bench:
        bench.run("pay.charge.v1", {"cents": 3})
        assert bench._connection.execute("select count(*) from tributary.audit_log").fetchone() == (0,)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["action"] for line in lines] == ["submitting", "put_off", "failed", "completed"]
    assert lines[-1]["payload"] == {"cents": 3}
    assert lines[-1]["result"] == "charged"
    assert lines[-1]["payload_hash"] == digest('{"cents":3}').hex()
    assert lines[-1]["place"] == "testing"
    assert "@" in lines[0]["place"]
    assert path.stat().st_mode & 0o007 == 0


def test_a_client_says_whether_the_key_was_known_and_the_steps_come_with_their_run(database, connection):
    with app.Client(database, hooks=[Audit(payloads="none", keep="1d")]) as client:
        for _ in range(2):
            client.submit("pay.charge.v1", {"cents": 3}, idempotency_key="k")
        client.submit_many("pay.charge.v1", [{"cents": 1}, {"cents": 2}])
    rows = connection.execute(
        "select action, payload_hash, keep_until is not null from tributary.audit_log order by audit_id"
    ).fetchall()
    assert rows == [("submitted", None, True), ("known", None, True), *[("submitted", None, True)] * 2]


class _Step:
    name, tenant, run_id, id, attempt = "pay.charge.v1", "", "x", "x", 1


def test_secrets_are_masked_in_what_is_kept_and_in_what_is_hashed(tmp_path):
    path = tmp_path / "audit.jsonl"
    hook = Audit(file=path, payloads="full")
    mark = masking.BOUND.set(masking.Mask(["hunter22"]))
    try:
        hook.after_work(_Step, {"token": "hunter22"}, None, ValueError("bad token hunter22"))
    finally:
        masking.BOUND.reset(mark)
    text = path.read_text()
    assert "hunter22" not in text
    assert digest('{"token":"***"}').hex() in text


@pytest.mark.parametrize("place", ["file", "table"])
def test_a_line_that_cannot_be_written_is_told_or_fails_the_attempt(tmp_path, place):
    file = tmp_path / "no" / "audit.jsonl" if place == "file" else None
    host = Host(lambda: "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", "x", "worker")
    told = []
    detach = events.attach(told.append)
    lax, strict = Audit(file=file), Audit(file=file, required=True)
    lax.open(host)
    strict.open(host)
    lax.after_work(_Step, {}, "x", None)
    with pytest.raises((OSError, DatabaseError)):
        strict.after_work(_Step, {}, "x", None)
    detach()
    assert [(type(event), event.name) for event in told] == [(HookFailed, "pay.charge.v1")]


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (None, "completed"),
        (Snooze(1), "put_off"),
        (StepCancelled(), "cancelled"),
        (LeaseLost(), "cancelled"),
        (Abort("x"), "failed"),
        (HandlerTimeout(), "failed"),
    ],
)
def test_what_an_end_is_called(error, action):
    assert _action(error) == action


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"payloads": "all"}, "payloads: one of hash, full, none"),
        ({"keep": "30"}, "keep: 30 has no unit"),
        ({"required": "perhaps"}, "required: true or false"),
        ({"file": 3}, "file: text is expected"),
    ],
)
def test_options_that_do_not_fit_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        Audit(**options)
