"""Verdicts on a worker's health, what operators want, vital signs, and the HTTP that tells of them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tributary_daemon.config.values import Refused, host_and_port
from tributary_daemon.daemon import clock as clock_module
from tributary_daemon.daemon import health, health_server, vitals
from tributary_daemon.daemon.board import Board
from tributary_daemon.daemon.clock import DatabaseClock
from tributary_daemon.daemon.health import Health, HealthReport, ProcessHealth, Resting, live, ready
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.orders import Orders
from tributary_daemon.errors import ConfigError

PLAN = SimpleNamespace(name="w1", version="1.0", silence_limit=60.0, processes=2)
RUN = "0199aaaa-0000-7000-8000-000000000001"
NOW = 1_000.0
WELL = HealthReport(
    name="w1", version="1.0", turned_at=NOW, turn_within=60.0, state="running", reachable=True,
    reachable_since=900.0, answered_at=NOW - 1, wanted=2,
    processes=(ProcessHealth(11, True, NOW - 0.5), ProcessHealth(12, True, NOW - 0.5)),
)  # fmt: skip


def verdicts(**changes):
    report = replace(WELL, **changes)
    return live(report, NOW).well, ready(report, NOW)


def test_a_worker_that_is_well():
    alive, is_ready = verdicts()
    assert alive
    assert is_ready.well
    assert is_ready.document["status"] == "ready"
    assert is_ready.document["reasons"] == is_ready.document["warnings"] == []
    assert is_ready.document["processes"]["claiming"] == [11, 12]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"reachable": False, "fault": "refused", "answered_at": NOW - 3},
            "has not answered for 3.0s: refused",
        ),
        (
            {"reachable": False, "fault": "no room", "refused": True, "answered_at": NOW - 3},
            "has refused for 3.0s: no room",
        ),
        (
            {"processes": (ProcessHealth(11, True, NOW, "no room"),)},
            "no process claims: process 11 has trouble with the database: no room",
        ),
        ({"answered_at": NOW - 11}, "the database has not answered for 11.0s"),
        ({"answered_at": None}, "the database has not answered yet"),
        ({"state": "paused"}, "`trib workers resume w1` goes on"),
        ({"state": "draining"}, "it drains"),
        ({"state": "fenced", "processes": ()}, "it was fenced"),
        ({"state": "starting", "processes": (ProcessHealth(11, False, NOW),)}, "no process claims: 1 start"),
        ({"processes": (ProcessHealth(11, True, NOW - 20),)}, "process 11 has been silent for 20.0s"),
        (
            {"processes": (), "resting": (Resting(4, NOW + 2), Resting(1, NOW + 1))},
            "one died 4 times in a row, the next comes in 2.0s",
        ),
    ],
)
def test_a_worker_that_lives_and_is_not_ready(changes, reason):
    alive, is_ready = verdicts(**changes)
    assert alive
    assert not is_ready.well
    assert reason in "; ".join(is_ready.document["reasons"])


def test_a_worker_that_lacks_a_process_is_ready_and_says_so():
    alive, is_ready = verdicts(processes=(ProcessHealth(11, True, NOW),), resting=(Resting(3, NOW + 1),))
    assert alive
    assert is_ready.well
    assert is_ready.document["warnings"] == [
        "1 of 2 processes claim: one died 3 times in a row, the next comes in 1.0s"
    ]


def test_a_loop_that_does_not_turn_is_neither_alive_nor_ready():
    alive, is_ready = verdicts(turned_at=NOW - 61)
    assert not alive
    assert "loop has not turned for 1m01s" in is_ready.document["reasons"][0]
    assert live(replace(WELL, turned_at=NOW - 61), NOW).document["status"] == "failing"


def member(pid, process_id=1, *, draining=False):
    return SimpleNamespace(
        pid=pid, process_id=process_id, draining=draining, signed_at=time.monotonic(), trouble=None,
        setup=SimpleNamespace(slots=4),
    )  # fmt: skip


class Crew(list):
    """Members as a family has them."""

    resting: dict = {}  # noqa: RUF012 - never changed
    tally = None


def test_the_board_follows_a_worker_through_its_life():
    board = Health(PLAN)

    def turn(*members, draining=False, paused=False):
        board.turned(Crew(members), draining=draining, paused=paused)
        return board.report.state

    assert turn() == "starting"
    board.answered()
    assert turn(member(1)) == "running"
    assert turn() == "running", "it has been up"
    assert turn(member(1), paused=True) == "paused"
    board.fenced()
    assert turn() == "fenced"
    assert turn(member(2, process_id=0)) == "fenced"
    assert turn(member(2)) == "running"
    assert turn(member(2, draining=True), draining=True, paused=True) == "draining"
    since = board.report.reachable_since
    board.answered()
    assert board.report.reachable_since == since
    board.lost(OSError("gone\nfar"))
    assert (board.report.reachable, board.report.fault) == (False, "gone")
    assert board.report.reachable_since > since


class Told:
    """A family that notes what it is told."""

    def __init__(self):
        self.heard = []

    def send(self, do):
        self.heard.append(do)


def test_orders_are_passed_on_once():
    family = Told()
    orders = Orders("w1", family)
    assert not orders.take(None)
    orders.wake()
    assert orders.take("pause")
    assert not orders.take("pause")
    assert orders.state(draining=False) == "paused"
    orders.wake()
    assert orders.take(None)
    assert family.heard == ["wake", "pause", "resume", "wake"]
    assert orders.take("drain")
    assert orders.stops == 1
    assert not orders.take(None), "a drain cannot be undone"
    assert not orders.take("pause")
    assert orders.take("stop")
    assert (orders.stops, orders.state(draining=True)) == (2, "draining")
    assert family.heard == ["wake", "pause", "resume", "wake"]


def test_vital_signs_tell_what_is_new(monkeypatch):
    clock, sizes = [50.0], [10 << 20]
    monkeypatch.setattr(vitals.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(vitals, "resident", lambda _: sizes[0])
    signs, one, time = vitals.VitalSigns(), member(1, process_id=7), DatabaseClock()
    one.board = Board(30)
    (first,) = signs.of([one], time)
    assert (first.slots, first.rss, first.current) == (4, 10 << 20, [])
    assert not time.jumped(datetime(2026, 1, 1, tzinfo=UTC))
    for place in range(25):
        held = Held(RUN, 3, 1, "step", "a.b.v1", "s", "default", 1, 3, 0, "{}", started_at=49.0)
        one.board.begin(place, held)
    (soon,) = signs.of([one], time)
    assert (soon.slots, soon.rss, soon.current) == (None, None, None)
    clock[0] += 2
    sizes[0] += 4096
    (later,) = signs.of([one], time)
    assert later.rss is None, "a page more is nothing new"
    assert len(later.current) == 20
    assert (later.current[0]["id"], later.current[0]["ordinal"], later.current[0]["name"]) == (
        RUN,
        3,
        "a.b.v1",
    )
    since = datetime.fromisoformat(later.current[0]["since"])
    assert since == datetime(2026, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    clock[0] += 2
    assert signs.of([one], time)[0].current is None
    other = member(2, process_id=8)
    other.board = Board(1)
    (new,) = signs.of([other], time)
    assert new.slots == 4


def test_a_jump_of_the_servers_clock_is_noticed_and_a_slow_beat_is_none(monkeypatch):
    at = [50.0]
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: at[0])
    clock, now = DatabaseClock(), datetime(2026, 1, 1, tzinfo=UTC)
    assert not clock.jumped(now)
    at[0] += 30
    assert not clock.jumped(now + timedelta(seconds=30))
    assert clock.jumped(now + timedelta(hours=1))
    assert not clock.jumped(now + timedelta(hours=1)), "once"
    assert clock.jumped(now), "backwards too"
    assert clock.time_of(at[0] - 5) == now - timedelta(seconds=5)


def test_of_several_answers_the_one_counts_that_was_fastest(monkeypatch):
    clock, start = DatabaseClock(), datetime(2026, 1, 1, tzinfo=UTC)
    at = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: at[0])
    delays = iter([0.2, 0.05, 0.4, 0.001, 0.1, 0.3])

    def ask():
        now = start + timedelta(seconds=at[0])
        at[0] += next(delays)
        return now

    assert clock.ahead == 0
    clock.compare(ask)
    assert clock.ahead == pytest.approx((start.timestamp() - 0.001) * 1e6, abs=2)
    assert not clock.jumped(ask())
    assert clock.ahead == pytest.approx((start.timestamp() - 0.001) * 1e6, abs=2)
    assert clock.jumped(start + timedelta(hours=1))
    assert clock.ahead == pytest.approx((start.timestamp() + 3600 - at[0]) * 1e6, abs=2)


def test_memory_of_this_process():
    assert vitals.resident(os.getpid()) > 1 << 20
    assert vitals.resident(2**22 + 1) is None


# --- HTTP -------------------------------------------------------------------------------------------


@pytest.fixture
def served():
    """A board and the port where it is told."""
    board = Health(PLAN)
    server = health_server.HealthServer("127.0.0.1:0", board)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield SimpleNamespace(board=board, port=server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


def ask(port, path="/readyz", method="GET", **more):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, **more)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def say(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as end:
        end.sendall(data)
        reply = b""
        while part := end.recv(65_536):
            reply += part
    return reply


def test_two_paths_and_two_methods(served):
    assert ask(served.port, "/healthz")[0] == 200
    status, body, headers = ask(served.port)
    assert status == 503
    assert json.loads(body)["status"] == "not ready"
    assert headers["Content-Type"].startswith("application/json")
    assert "Python" not in headers["Server"]
    served.board.answered()
    served.board.turned(Crew([member(5)]), draining=False, paused=False)
    status, body, _ = ask(served.port, "/readyz?verbose=1")
    assert (status, json.loads(body)["processes"]["claiming"]) == (200, [5])
    status, body, headers = ask(served.port, method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    assert ask(served.port, "/")[0] == ask(served.port, "/../etc/passwd")[0] == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        status, _, headers = ask(served.port, method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /readyz HTTP/9.9\r\n\r\n", 505),
        (b"GET /readyz HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused(served, data, status):
    reply = say(served.port, data)
    assert reply.startswith(f"HTTP/1.0 {status} ".encode())
    assert b"nonsense" not in reply


def test_endless_headers_end(served):
    """Whatever comes after 16 KiB is not read."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as end:
        end.sendall(b"GET /healthz HTTP/1.1\r\n" + (b"X-Much: " + b"a" * 3_000 + b"\r\n") * 8)
        assert end.recv(12).startswith(b"HTTP/1.0 ")


def test_slow_clients_hold_up_nobody(served):
    slow = [
        socket.create_connection(("127.0.0.1", served.port), timeout=10)
        for _ in range(health_server.MOST_CONNECTIONS * 2)
    ]
    try:
        for end in slow:
            end.sendall(b"GET /hea")
        for _ in range(5):
            assert ask(served.port, "/healthz")[0] == 200
        # those that came first had to make room
        assert slow[0].recv(10) == b""
    finally:
        for end in slow:
            end.close()


def test_a_client_that_drips_is_given_up(served, monkeypatch):
    monkeypatch.setattr(health_server, "REQUEST_WITHIN", 0.2)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as end:
        end.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert end.recv(10) == b""


def test_a_taken_port_and_a_host_that_is_not_here(served):
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{served.port}") as raised:
        health_server.HealthServer(f"127.0.0.1:{served.port}", served.board)
    assert raised.value.exit_code == 2
    with pytest.raises(ConfigError, match="cannot listen on 192"):
        health_server.HealthServer("192.0.2.1:0", served.board)


def test_ipv6_where_there_is_any():
    try:
        server = health_server.HealthServer("[::1]:0", Health(PLAN))
    except ConfigError:
        pytest.skip("no IPv6 here")
    assert server.address == f"[::1]:{server.server_address[1]}"
    server.server_close()


def test_without_an_address_nothing_is_served():
    before = threading.active_count()
    with health_server.serving(None, Health(PLAN)):
        assert threading.active_count() == before


def test_addresses():
    assert host_and_port("localhost:0") == ("localhost", 0)
    assert host_and_port("[fe80::1%eth0]:80") == ("fe80::1%eth0", 80)
    for wrong in ("", "8080", ":8080", "host:", "host:99999", "::1:80", "[::1]", "a b:80", "http://a:80"):
        with pytest.raises(Refused):
            host_and_port(wrong)


def test_limits_are_what_the_page_says():
    assert health.STUCK_AFTER == 15
    assert health.ANSWER_WITHIN == 10
