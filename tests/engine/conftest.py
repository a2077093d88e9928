"""Leases and steps without a daemon."""

from __future__ import annotations

import pytest

from tributary_daemon.engine.executor import execute_sync
from tributary_daemon.engine.lease import Lease
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.step import Step, StepContext


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(REGISTRY, "_handlers", {})
    return REGISTRY


class Powerless:
    """A runtime for handlers that use none of their powers."""

    def context(self, attempt):
        return StepContext()

    def heartbeat(self, attempt, details):
        raise AssertionError("not expected")

    def is_cancelled(self, attempt):
        return False


@pytest.fixture
def a_lease():
    """Return a function that makes a lease."""

    def make(payload="{}", **fields):
        values = {
            "run_id": "0199aaaa-0000-7000-8000-000000000001",
            "ordinal": 2,
            "seq": 7,
            "kind": "step",
            "name": "a.b.v1",
            "step_id": "charge",
            "queue": "default",
            "attempt": 1,
            "max_attempts": 3,
            "crashes": 0,
            "payload": payload,
        }
        return Lease(**{**values, **fields})

    return make


@pytest.fixture
def a_step():
    """Return a function that makes the step of a lease."""
    return lambda lease: Step(lease, Powerless())


@pytest.fixture
def execute(a_lease, a_step, registry):
    """Return a function that runs the one declared sync handler."""

    def run(payload="{}", **fields):
        (handler,) = registry
        lease = a_lease(payload, **fields)
        return execute_sync(handler, lease, a_step(lease))

    return run
