"""A real worker that is observed: by subscribers of every kind, and by ids that its work carries."""

from __future__ import annotations

import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.daemon.observed_site import IDS, OBSERVERS, SECRET, TRACE, client, site

__all__ = ["client", "site"]


class Receiver:
    """Takes webhooks, as docs/webhooks.md tells a receiver to; answers 500 as often as it is told to."""

    def __init__(self):
        self.got, self.faults = [], 0
        receiver = self

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                receiver.faults -= 1
                self.send_response(200 if receiver.faults < 0 else 500)
                self.end_headers()

            def log_message(self, *_):
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def test_subscribers_hear_of_attempts_whatever_others_do(site, client):
    good = client.submit("o.seen.v1", {"snooze": True})
    bad = client.submit("o.seen.v1", {"fail": True}, retry={"delay": 0}, max_attempts=2)
    alone, awaited = client.submit("o.alone.v1"), client.submit("o.aseen.v1")
    ids = [work.id for work in (good, bad, alone, awaited)]
    for work in ids:
        site.wait(lambda work=work: site.state(work) in ("completed", "discarded"), 30, work)

    def told():
        return {work: Counter(event["event"] for event in site.heard(run_id=work)) for work in ids}

    usual = {"AttemptStarted": 1, "AttemptCompleted": 1}
    site.wait(
        lambda: told() == {
            good.id: {"AttemptStarted": 2, "AttemptSnoozed": 1, "AttemptCompleted": 1},
            bad.id: {"AttemptStarted": 2, "AttemptFailed": 2, "StepFailed": 2},
            alone.id: usual,
            awaited.id: usual,
        },
        20,
        lambda: f"{told()}",
    )  # fmt: skip
    failed = site.heard("AttemptFailed", run_id=bad.id)
    assert [(event["attempt"], event["last"], event["message"]) for event in failed] == [
        (1, False, "it failed"),
        (2, True, "it failed"),
    ]
    # the supervisor's are heard in its own process, those of attempts in the child that runs them
    pids = {event["heard_by"] for event in site.heard("AttemptStarted")}
    assert len(pids) == 1
    assert pids.isdisjoint({event["heard_by"] for event in site.heard("ProcessStarted")})
    broken = site.lines(event="subscriber failed", subscriber=OBSERVERS[1])
    assert "observer is broken" in broken[0]["error"]
    # said once in each process, not with each event
    assert len(broken) <= 2


def test_ids_are_with_whatever_the_work_becomes(site, client):
    work = client.submit("o.seen.v1", **IDS)
    result = client.wait(work.id, 30).result
    assert {name: result[name] for name in IDS} == IDS
    site.wait(lambda: len(site.lines(run_id=work.id, correlation_id="req-7")) >= 2, 20, "its lines")
    lines = site.lines(run_id=work.id)
    assert {line["event"] for line in lines} >= {"seen", "a library speaks"}
    assert {(line["correlation_id"], line["business_id"], line["trace_id"]) for line in lines} == {
        ("req-7", "order-9", TRACE)
    }
    site.wait(lambda: site.heard("AttemptCompleted", run_id=work.id), 20, "it is heard of")
    (event,) = site.heard("AttemptCompleted", run_id=work.id)
    assert (event["correlation_id"], event["business_id"], event["trace_id"]) == ("req-7", "order-9", TRACE)
    assert client.wait(client.submit("o.alone.v1", **IDS).id, 30).result["correlation_id"] == "req-7"
    bare = client.wait(client.submit("o.aseen.v1").id, 30)
    assert bare.result["correlation_id"] is None
    assert bare.id not in {line.get("run_id") for line in site.lines(correlation_id="req-7")}


FAMILY = """
name: o.family.v1
steps:
  items: {for_each: "${{ range(3) }}", task: o.seen.v1}
  child: {workflow: o.child.v1, needs: items}
on_success:
  told: {task: o.seen.v1}
---
name: o.child.v1
steps:
  inner: {task: o.seen.v1}
"""


def test_items_children_hooks_and_functions_inherit_them(site, client):
    path = site.home / "family.yaml"
    path.write_text(FAMILY)
    run = client.submit(path, **IDS)
    function = client.submit("o.flow.v1", **IDS)
    client.wait(run.id, 40)
    client.wait(function.id, 40)
    rows = site.sql.execute(
        "select s.result ->> 'correlation_id' from tributary.steps s where s.name = 'o.seen.v1' and ("
        " s.run_id = any (%s::uuid[])"
        " or s.run_id in (select run_id from tributary.runs where parent_run_id = %s))",
        ([run.id, function.id], run.id),
    ).fetchall()
    # three items, the hook, the step of the child, the step of the function
    assert rows == [("req-7",)] * 6
    # the child is another run with the same ids, and is seen from its parent
    listed = {item.id for item in client.list(correlation_id="req-7", kind="run").items}
    assert {run.id, function.id} <= listed
    assert not re.search("Traceback.*correlat", site.log())


TOLD = """
name: o.told.v1
secrets: [hook]
inputs: {url: {type: string}, fail: {type: boolean, default: false}}
steps:
  work:
    task: o.seen.v1
    with: {fail: "${{ inputs.fail }}"}
    max_attempts: 1
finally:
  tell:
    task: trib.webhook.v1
    retry: {delay: 10ms}
    with:
      url: ${{ inputs.url }}
      secret: ${{ secrets.hook }}
      event: run.${{ run.state }}
      data: {name: "${{ run.name }}", state: "${{ run.state }}", error: "${{ run.error.message }}"}
"""


def verified(headers, body, key, *, now=None):
    """Return what a webhook says, as the receiver of docs/webhooks.md does."""
    spoken = {}
    page = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
    code = re.search(r"```python\n(.+?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    exec(code, spoken)
    return spoken["accept"](headers, body, key, **({} if now is None else {"now": now}))


def test_the_end_of_a_run_is_told_signed_and_told_again_after_an_error(site, client, receiver):
    path = site.home / "told.yaml"
    path.write_text(TOLD)
    key = b"a key of the receiver"
    receiver.faults = 2
    run = client.submit(path, {"url": receiver.url}, correlation_id="req-7")
    assert client.wait(run.id, 40).state == "completed"
    assert len(receiver.got) == 3
    assert len({headers["Webhook-Id"] for headers, _ in receiver.got}) == 1
    assert client.get(run.id).steps["tell"].result["status"] == 200
    for headers, body in receiver.got:
        assert verified(headers, body, key) == {
            "type": "run.completed",
            "run_id": run.id,
            "data": {"name": "o.told.v1", "state": "completed", "error": None},
            "correlation_id": "req-7",
        }
    headers, body = receiver.got[0]
    with pytest.raises(ValueError, match="signature"):
        verified(headers, body + b" ", key)
    with pytest.raises(ValueError, match="signature"):
        verified(headers, body, b"another key")
    with pytest.raises(ValueError, match="old"):
        verified(headers, body, key, now=int(headers["Webhook-Timestamp"]) + 3_600)
    bad = client.submit(path, {"url": receiver.url, "fail": True})
    assert client.wait(bad.id, 40).state == "failed"
    told = verified(*receiver.got[-1], key)
    assert (told["type"], told["data"]["error"]) == ("run.failed", "it failed")
    # nowhere is the secret itself
    assert SECRET not in site.log()
    kept = "select count(*) from tributary.payloads where payload::text like %s or options::text like %s"
    assert site.one(kept, f"%{SECRET}%", f"%{SECRET}%") == (0,)
