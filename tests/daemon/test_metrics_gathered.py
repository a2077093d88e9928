"""How a scrape is put together: events, looks at the queues, and an answer whatever goes wrong."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from tributary_daemon import events
from tributary_daemon.daemon import health_server, queue_looks
from tributary_daemon.daemon.board import Board
from tributary_daemon.daemon.health import Health, ProcessHealth, processes
from tributary_daemon.daemon.metrics import Metrics
from tributary_daemon.daemon.queue_looks import QueueLooks
from tributary_daemon.daemon.tally import Tally
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.observers.metrics import CATALOGUE, MOST_TENANTS
from tributary_daemon.store.samples import QueueSample
from tributary_daemon.store.tenants import TenantRow

PLAN = SimpleNamespace(
    name="w1", version="1.0", silence_limit=60.0, processes=2, url="postgresql://nowhere.invalid/x",
    claimed=("default", "~closing"),
)  # fmt: skip
SAMPLE = QueueSample("default", 3, 2, 1, 0, 7.5, 1.0, 4)
TENANT = TenantRow("acme", 5, False, 2.5, 1, 4, None, 0.0, [])


class Crew(list):
    """Members as a family has them."""

    def __init__(self, tally):
        super().__init__()
        self.resting, self.tally = {}, tally


class Looks:
    """Answers with what the test says."""

    def __init__(self, *samples, ago=0.0):
        self.answer = (ago, samples)

    def latest(self):
        return self.answer


def gathered(*samples, ago=0.0, up=True):
    """Return metrics with one process, whose board the test may count on."""
    health, tally = Health(PLAN), Tally()
    one = SimpleNamespace(board=Board(2, queues=PLAN.claimed), setup=SimpleNamespace(slots=3))
    tally.begins(one)
    health.turned(Crew(tally), draining=False, paused=False)
    if up:
        health.answered()
    made = Metrics(PLAN, health, Looks(*samples, ago=ago))
    made.board = one.board
    return made


def test_only_what_is_in_the_catalogue_is_gathered():
    labels = {metric.name: len(metric.labels) for metric in CATALOGUE}
    values = gathered(SAMPLE, TENANT).values()
    assert values.keys() == labels.keys()
    assert {name: {len(key) for key in found} for name, found in values.items()} == {
        name: {count} for name, count in labels.items()
    }


def test_tenants_are_told_by_name_where_they_are_declared_and_not_too_many():
    none = TenantRow("t", 2, False, None, 0, None, None, 0.0, [])
    rows = [none._replace(name=f"t{number}", logins=["x"]) for number in range(300)]
    ready = gathered(SAMPLE, *rows, none).values()["tributary_tenant_ready"]
    assert len(ready) == MOST_TENANTS
    assert ready["t0",] == 2
    assert ready["other",] == 2 * (301 - MOST_TENANTS + 1)
    assert "tributary_tenant_ready" not in gathered(SAMPLE).values()


def test_events_are_counted_while_it_is_attached():
    metrics = gathered()
    with metrics.attached():
        for event in (
            events.ProcessStarted(process="w1/1", pid=1),
            events.ProcessStuck(process="w1/1", pid=1, reason="silent"),
            events.ProcessDied(process="w1/1", pid=1, code=-9),
            events.ProcessExited(process="w1/2", pid=2, code=0),
            events.ProcessRecycled(process="w1/1", pid=1, reason="old"),
            events.SpawnFailed(place=1, error="no memory"),
            events.WorkerFenced(name="w1"),
            events.AttemptsRescued(count=5),
            # two reasons, one outage
            events.DatabaseLost(process="w1", error="gone"),
            events.DatabaseLost(process="w1", error="full"),
            events.DatabaseBack(process="w1", seconds=3.0, times=2),
            events.DatabaseLost(process="w1", error="gone"),
        ):
            events.emit(event)
    events.emit(events.WorkerFenced(name="w1"))
    values = metrics.values()
    for what in ("starts", "kills", "deaths", "recycles", "spawn_failures"):
        assert values[f"tributary_process_{what}_total"] == {(): 1}
    assert values["tributary_worker_fences_total"] == {(): 1}
    assert values["tributary_attempts_rescued_total"] == {(): 5}
    assert values["tributary_database_outages_total"] == {(): 2}
    metrics.board.measures.holds(0, 4, 3)
    values = metrics.values()
    assert values["tributary_database_outages_total"] == {(): 5}, "those of its processes, too"
    assert values["tributary_database_connections_total"] == {(): 4}


def test_samples_are_told_as_they_are():
    closing = QueueSample("strange", None, None, None, None, None, None, 2)
    values = gathered(SAMPLE, closing, ago=2.0).values()
    assert values["tributary_queue_depth"] == {
        ("default", "ready"): 3, ("default", "scheduled"): 2, ("default", "running"): 1,
        ("default", "waiting"): 0,
    }  # fmt: skip
    assert values["tributary_queue_oldest_ready_age_seconds"] == {("default",): 7.5}
    assert values["tributary_queue_sample_age_seconds"] == {(): 3.0}
    assert values["tributary_dead_letters"] == {("default",): 4, ("strange",): 2}


def test_many_queues_are_added_up():
    many = [QueueSample(f"q{number:03}", 2, 0, 0, 0, float(number), 1.0, 1) for number in range(300)]
    values = gathered(*many, SAMPLE).values()
    depth = values["tributary_queue_depth"]
    assert len({queue for queue, _ in depth}) == 200
    assert depth["default", "ready"] == 3
    assert depth["other", "ready"] == 2 * 102
    assert values["tributary_queue_oldest_ready_age_seconds"]["other",] == 299.0
    assert values["tributary_dead_letters"]["other",] == 102


@pytest.mark.parametrize("more", [{"up": False}, {"ago": 31.0}])
def test_what_is_old_or_away_is_not_told(more):
    values = gathered(SAMPLE, **more).values()
    assert "tributary_queue_depth" not in values
    assert values["tributary_database_up"] == {(): float(more.get("up", True))}
    assert values["tributary_slots"] == {(): 3}


def test_before_the_first_turn_there_is_little_to_tell():
    values = Metrics(PLAN, Health(PLAN), Looks()).values()
    assert values["tributary_database_up"] == {(): 0.0}
    assert values["tributary_worker_state"][("starting",)] == 1.0
    assert "tributary_slots" not in values


def test_each_process_does_one_thing():
    now = time.monotonic()
    health = Health(PLAN)
    report = health.report
    object.__setattr__(
        report,
        "processes",
        (
            ProcessHealth(1, True, now),
            ProcessHealth(2, True, now - 100),
            ProcessHealth(3, True, now, "no room"),
            ProcessHealth(4, False, now),
        ),
    )
    assert processes(report, now) == {"claiming": 1, "stuck": 1, "troubled": 1, "idle": 1, "resting": 0}


# --- looks --------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    at = [1_000.0]
    monkeypatch.setattr(queue_looks.time, "monotonic", lambda: at[0])
    return at


def test_it_looks_at_most_every_ten_seconds(clock):
    seen = []

    def look():
        seen.append(clock[0])
        return [SAMPLE]

    looks = QueueLooks("", "w1", look)
    assert looks.latest() == (0.0, [SAMPLE])
    clock[0] += queue_looks.EVERY - 0.1
    assert looks.latest() == (pytest.approx(queue_looks.EVERY - 0.1), [SAMPLE])
    assert len(seen) == 1
    clock[0] += 0.1
    assert looks.latest() == (0.0, [SAMPLE])
    assert len(seen) == 2


def test_what_was_seen_is_forgotten_when_a_look_fails(clock):
    answers = [[SAMPLE]]

    def look():
        if not answers:
            raise DatabaseUnreachable("gone")
        return answers.pop()

    looks = QueueLooks("", "w1", look)
    assert looks.latest() is not None
    clock[0] += queue_looks.EVERY
    assert looks.latest() is None
    clock[0] += 1
    assert looks.latest() is None, "and not tried again at once"


def test_a_look_that_takes_too_long_is_there_for_the_next_scrape(monkeypatch):
    monkeypatch.setattr(queue_looks, "WITHIN", 0.05)
    gate, seen = threading.Event(), []

    def look():
        seen.append(1)
        assert gate.wait(10)
        return [SAMPLE]

    looks = QueueLooks("", "w1", look)
    began = time.monotonic()
    assert looks.latest() is None
    assert looks.latest() is None
    assert time.monotonic() - began < 1
    gate.set()
    looks._thread.join(10)
    assert looks.latest()[1] == [SAMPLE]
    assert seen == [1]


def test_a_database_that_is_not_there_is_no_error():
    assert QueueLooks("postgresql://127.0.0.1:1/x", "w1").latest() is None


# --- HTTP ---------------------------------------------------------------------------------------------


def ask(metrics, path="/metrics"):
    server = health_server.HealthServer("127.0.0.1:0", Health(PLAN), metrics)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["Content-Type"]
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_page_that_cannot_be_made_is_an_error_that_says_so():
    def page():
        raise ZeroDivisionError("secret")

    heard = []
    detach = events.attach(heard.append)
    try:
        status, body, kind = ask(SimpleNamespace(page=page))
    finally:
        detach()
    assert [event.error for event in heard] == ["no metrics: ZeroDivisionError('secret')"], (
        "the log has all of it"
    )
    assert (status, json.loads(body)) == (500, {"error": "no metrics: ZeroDivisionError"})
    assert kind.startswith("application/json")
    assert ask(SimpleNamespace(page=page), "/healthz")[0] == 200


def test_without_metrics_there_is_no_such_page():
    assert ask(None)[0] == 404


def test_the_page_is_made_by_the_first_scrape():
    status, body, kind = ask(gathered(SAMPLE))
    assert status == 200
    assert b'tributary_queue_depth{queue="default",state="ready"} 3.0' in body
    assert kind.startswith("text/plain")


@pytest.mark.parametrize("module", ["daemon.running", "daemon.child", "workers"])
def test_who_is_not_scraped_does_not_pay_for_it(module):
    code = f"import sys, tributary_daemon.{module}; print('prometheus_client' in sys.modules)"
    said = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert said == "False\n"


def test_serving_counts_events():
    metrics = gathered()
    with health_server.serving("127.0.0.1:0", Health(PLAN), metrics):
        events.emit(events.WorkerFenced(name="w1"))
    with health_server.serving(None, Health(PLAN), metrics):
        events.emit(events.WorkerFenced(name="w1"))
    assert metrics.values()["tributary_worker_fences_total"] == {(): 1}
