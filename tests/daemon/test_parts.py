"""Small parts of a process: inbox, outcomes, leases, signs, setup, plan, pipes, reconnects."""

from __future__ import annotations

import json
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon import config
from tributary_daemon.daemon import reconnect, signs
from tributary_daemon.daemon.held import Held, from_row
from tributary_daemon.daemon.inbox import Check, Drain, Inbox, Wake
from tributary_daemon.daemon.member import _Pipe
from tributary_daemon.daemon.offers import matching
from tributary_daemon.daemon.options import WorkerOptions
from tributary_daemon.daemon.outcomes import ended
from tributary_daemon.daemon.plan import plan
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.daemon.supervisor import Supervisor
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.model.outcome import (
    Completed,
    Discarded,
    ErrorRecord,
    Failed,
    Released,
    Skipped,
    Snoozed,
)
from tributary_daemon.store.contexts import _KEPT_RUNS, Contexts, Plan

ERROR = ErrorRecord("ValueError", "no", 1)


def lease(**fields):
    values = {"run_id": "r", "ordinal": 1, "seq": 9, "kind": "step", "name": "n.x.v1", "step_id": "a"}
    values |= {"queue": "q", "attempt": 1, "max_attempts": 3, "crashes": 0, "payload": "{}"}
    return Held(**{**values, **fields})


def test_the_inbox_collects_what_has_come():
    inbox = Inbox()
    assert inbox.take(0) == []
    for message in (Wake(), Check(), Drain()):
        inbox.put(message)
    assert inbox.take(0) == [Wake(), Check(), Drain()]
    inbox.put(Wake())
    threading.Timer(0.01, inbox.put, [Check()]).start()
    assert inbox.take(0, linger=5, enough=2) == [Wake(), Check()]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Completed("1"), ("completed", "1", False, None)),
        (Failed(ERROR, 2.5), ("retry", None, True, 2.5)),
        (Discarded(ERROR), ("discarded", None, True, None)),
        (Discarded(ERROR, abort_run=True), ("aborted", None, True, None)),
        (Snoozed(3), ("snoozed", None, False, 3)),
        (Released(), ("released", None, False, None)),
        (Skipped({"if": False}), ("skipped", '{"if": false}', False, None)),
    ],
)
def test_outcomes_as_the_finish_takes_them(outcome, expected):
    written = ended(lease(), outcome)
    assert (written.outcome, written.result, written.error is not None, written.delay) == expected
    assert written[:3] == ("r", 1, 9)
    assert written.in_run


def test_an_intent_has_no_run_to_abort():
    written = ended(lease(kind="intent", ordinal=0), Discarded(ERROR, abort_run=True))
    assert (written.outcome, written.in_run) == ("discarded", False)


@given(*[st.integers(0, 6)] * 4)
def test_the_last_attempt_is_that_whose_failure_uses_up_all(attempt, most, base, crashes):
    held = lease(attempt=attempt, max_attempts=most, attempt_base=base, crashes=crashes)
    assert held.last is (held.failures >= most)


def test_how_a_lease_runs_follows_its_handler_and_where_it_stays():
    apart = SimpleNamespace(durable=False, is_async=True, isolation=object(), heartbeat_timeout=4.0)
    held = lease(handler=apart)
    assert (held.isolated, held.in_loop, held.control, held.heartbeat_timeout) == (True, False, False, 4.0)
    held.stays()
    assert (held.isolated, held.in_loop) == (False, False), "in the thread that was to wait for it"
    held = lease()
    assert (held.isolated, held.in_loop, held.heartbeat_timeout) == (False, False, None)
    held.found(SimpleNamespace(durable=True, is_async=True, isolation=None, heartbeat_timeout=None))
    assert (held.durable, held.isolated, held.in_loop) == (True, False, True)


def test_a_lease_from_its_row():
    options = {"timeout": {"value": 3, "level": "step"}, "retry": {"value": {"delay": 7}, "level": "step"}}
    row = ("r", 2, 5, "step", "n", "a", "q", 1, 3, 0, '{"x": 1}', 0, json.dumps(options), 8, 0, "", None, 2,
           "(3,4)", 1)  # fmt: skip
    held = from_row(row, 4, None, 3.5)
    assert (held.token, held.shard, held.dynamic, held.timeout, held.retry.delay) == (
        ("r", 2, 5),
        4,
        True,
        3.0,
        7,
    )
    assert (held.lone_crashes, held.suspect, held.isolated, held.tid) == (2, True, True, "(3,4)")
    bare = from_row((*row[:10], None, 0, None, 0, 0, "", None, None, "(3,5)", 0), 0, None, 0.0)
    assert (held.handed_on, bare.handed_on) == (True, False)
    assert not held.handler
    assert (bare.payload, bare.timeout, bare.retry, bare.elapsed) == ("{}", None, None, None)
    held.started_at = held.claimed_at + 0.5
    assert held.elapsed == pytest.approx(0.5)


def test_signs_come_seldom_and_soon_when_saturation_ends(monkeypatch):
    now, said = [100.0], []
    monkeypatch.setattr(signs.time, "monotonic", lambda: now[0])
    given_signs = signs.Signs(said.append)
    for step in range(100):
        now[0] = 100 + step * 0.01
        given_signs.give(True)
    assert len(said) == 2
    now[0] += 0.1
    given_signs.give(False)
    assert said[-1] == {"say": "sign", "saturated": False, "trouble": None}
    now[0] += 0.1
    given_signs.give(False, "it is gone")
    assert said[-1]["trouble"] == "it is gone"


def test_a_setup_survives_its_way():
    setup = ProcessSetup(url="u", label="w/1", bounded={"heavy": 2}, imports=("a", "b"), path=("x",))
    assert ProcessSetup.load(json.dumps(setup.to_json())) == setup
    started = setup.started(7, ["n.x.v1"], 4, holds_bounded=True, paused=False)
    assert (started.process_id, started.names, started.shards) == (7, ("n.x.v1",), 4)
    assert (started.holds_bounded, started.paused) == (True, False)


@given(slots=st.integers(1, 50), processes=st.integers(1, 12))
def test_slots_of_a_queue_are_divided_without_loss(slots, processes):
    options = WorkerOptions(queues={"default": None, "heavy": slots}, processes=processes)
    made = plan("u", config.Config(), options, version="1", cores=2)
    shares = [made.setup(number).bounded.get("heavy", 0) for number in range(processes)]
    assert sum(shares) == slots
    assert max(shares) - min(shares) <= 1
    assert made.served == ("default", "heavy")
    assert made.claimed == ("default", "heavy", "~closing")
    assert made.private("@q", directory="/").claimed == ("@q",)


def test_patterns_of_names():
    names = ["billing.charge.v1", "billing.refund.v1", "shop.charge.v1"]
    assert matching(names, []) == names
    assert matching(names, ["billing.%"]) == names[:2]
    assert matching(names, ["%.charge.v1", "nothing"]) == [names[0], names[2]]
    odd = ["a.b_c.v1", "a.bxc.v1", "a.[b].v1", "a.b%c.v1"]
    assert matching(odd, ["a.b_c.v1"]) == ["a.b%c.v1", "a.b_c.v1", "a.bxc.v1"]
    assert matching(odd, ["a.b\\_c.v1", "a.[b].v1"]) == ["a.[b].v1", "a.b_c.v1"]
    assert matching(odd, ["a.b\\%c%"]) == ["a.b%c.v1"]
    assert matching(odd, ["b", "*", "a.?.v1"]) == []


def test_a_pipe_never_blocks_and_loses_nothing_that_matters():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pipe = _Pipe(ours)
        for _ in range(5000):
            pipe.send({"do": "wake"})
        pipe.send({"do": "drain"})
        received, rest = [], b""
        theirs.settimeout(5)
        while {"do": "drain"} not in received:
            *lines, rest = (rest + theirs.recv(65_536)).split(b"\n")
            received += [json.loads(line) for line in lines]
            pipe.messages()
        assert len(received) < 5000
        theirs.close()
        pipe.send({"do": "wake"})
        assert pipe.messages() == []


def test_reconnects_pause_longer_and_longer_and_never_sleep(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(reconnect.time, "monotonic", lambda: now[0])

    class Opened:
        closed = False

        def close(self):
            self.closed = True

    tries = []

    def connect(*_, **__):
        tries.append(now[0])
        if len(tries) in {2, 3, 4}:
            raise DatabaseUnreachable("refused")
        return Opened()

    monkeypatch.setattr(reconnect, "connect", connect)
    link = reconnect.Reconnect("u", "test")
    first = link.connection()
    assert link.connection() is first
    assert link.fresh
    pauses = []
    for _ in range(4):
        assert link.lost(OSError("gone")) is True
        assert link.lost(OSError("gone")) is False
        pauses.append(link.pause)
        with pytest.raises(DatabaseUnreachable):
            link.connection()
        now[0] += link.pause + 0.001
        try:
            link.connection()
        except DatabaseUnreachable:
            continue
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.2 < pauses[3] < 2
    assert first.closed
    now[0] += 60
    link.lost(OSError("gone"))
    assert link.pause < 0.2


def test_however_long_an_outage_takes_the_next_try_comes_within_seconds(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(reconnect.time, "monotonic", lambda: now[0])
    link = reconnect.Reconnect("u", "test")
    pauses = []
    for _ in range(200):
        link.lost(OSError("gone"))
        pauses.append(link.pause)
        now[0] += link.pause
    # a server that is back after a restart is to be found within 5 s, the login and the first claim included
    assert max(pauses) <= 2.4
    assert len({round(pause, 6) for pause in pauses[10:]}) > 100, "they do not come in step"


@pytest.mark.parametrize(("pause", "patience"), [(0.0, 0.0), (2.0, 1.0)])
def test_a_leader_whose_database_is_away_does_not_look_for_chores(pause, patience):
    supervisor = Supervisor.__new__(Supervisor)
    supervisor._link = SimpleNamespace(pause=pause)
    supervisor._maintenance = SimpleNamespace(due_in=-5.0)
    supervisor._orders = SimpleNamespace(due_in=float("inf"))
    supervisor._manager = SimpleNamespace(watchdog_every=None)
    supervisor._poll_at = time.monotonic() + 60
    supervisor._wake_at = supervisor._deadline = None
    assert supervisor._patience() == patience


class Now:
    def isoformat(self):
        return "now"


class Rows:
    def __init__(self, rows):
        self._rows = rows

    def fetchall(self):
        return self._rows


class RunsOf:
    """A connection that knows every run, each with inputs of one size."""

    def __init__(self, size=2):
        self._size = size

    def execute(self, statement, parameters):
        return Rows([(run, "rev", "w", {}, Now(), None, {}, None, self._size, "") for run in parameters[0]])


@pytest.fixture
def surroundings():
    contexts = Contexts()
    contexts._plans["rev"] = Plan({1: {"id": "a"}}, {1: ()}, {"a": 1}, None)
    return contexts


def claimed(*runs):
    return [lease(run_id=run, ordinal=1, name="a.v1", flags=0) for run in runs]


def test_the_surroundings_about_to_be_read_are_never_trimmed(surroundings):
    for number in range(_KEPT_RUNS):
        surroundings.load(RunsOf(), 0, claimed(f"old{number}"))
    found = surroundings.load(RunsOf(), 0, claimed("old0", "new"))
    assert set(found) == {("old0", 1), ("new", 1)}
    assert len(surroundings._runs) == _KEPT_RUNS
    assert "old1" not in surroundings._runs


def test_large_inputs_are_kept_of_as_many_runs_as_fit(surroundings):
    large = RunsOf(1024 * 1024)
    for number in range(40):
        surroundings.load(large, 0, claimed(f"old{number}"))
    assert list(surroundings._runs) == [f"old{number}" for number in range(24, 40)]
    together = [f"new{number}" for number in range(30)]
    assert len(surroundings.load(large, 0, claimed(*together))) == 30, "what is read at once is there at once"
    surroundings.load(large, 0, claimed("last"))
    assert len(surroundings._runs) == 16
