"""Handlers of a test are gone after it; steps without a daemon."""

from __future__ import annotations

import pytest

from tributary_daemon.engine.lease import Lease
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.step import Step, StepContext


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """The process-wide registry, with nothing in it but what the test declares."""
    monkeypatch.setattr(REGISTRY, "_handlers", {})
    return REGISTRY


class Said:
    """What an attempt said, noted down."""

    def __init__(self):
        self.lines = []
        self.streams = {}

    def line(self, text, level, fields):
        self.lines.append((level, text, dict(fields)))

    def output(self, stream):
        said = self

        class Output:
            def feed(self, data):
                said.streams[stream] = said.streams.get(stream, b"") + data
                return data

            def close(self):
                return b""

        return Output()


class FakeRuntime:
    """The powers of a step, noted down."""

    def __init__(self, context=None, opened=None):
        self.given = context or StepContext()
        self.opened = opened
        self.loads = 0
        self.beats = []
        self.cancelled = False
        self.said = Said()

    def lines(self, attempt):
        return self.said

    def context(self, attempt):
        self.loads += 1
        return self.given

    def own_group(self, attempt, group):
        self.groups = [*getattr(self, "groups", []), group]

    def heartbeat(self, attempt, details):
        self.beats.append((attempt.run_id, details))

    def is_cancelled(self, attempt):
        return self.cancelled

    def connection(self, attempt):
        return self.opened

    async def aconnection(self, attempt):
        return self.opened


@pytest.fixture
def runtime():
    """Return a function that makes a runtime."""
    return FakeRuntime


@pytest.fixture
def a_step(runtime):
    """Return a function that makes a step of attempt ``attempt``."""

    def make(powers=None, **fields):
        values = {
            "run_id": "0199aaaa-0000-7000-8000-000000000001",
            "ordinal": 2,
            "seq": 7,
            "kind": "step",
            "name": "shop.charge.v1",
            "step_id": "charge",
            "queue": "default",
            "attempt": 1,
            "max_attempts": 3,
            "crashes": 0,
            "payload": "{}",
        }
        return Step(Lease(**{**values, **fields}), powers or runtime())

    return make
