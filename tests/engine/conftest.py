"""Leases and steps without a daemon."""

from __future__ import annotations

import asyncio

import pytest

from tributary_daemon import events, resource
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.engine.lease import Lease
from tributary_daemon.engine.pool import Pool
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


@pytest.fixture
def notes():
    return []


@pytest.fixture
def pool():
    made = Pool()
    yield made
    made.close()


@pytest.fixture
def told():
    heard = []
    detach = events.attach(heard.append)
    yield heard
    detach()


@pytest.fixture
def equipped(registry, a_lease, a_step, pool):
    """Return a function that runs one attempt of the one declared handler, whatever its kind."""

    def run(payload="{}", **fields):
        (found,) = registry
        lease = a_lease(payload, **fields)
        if not found.is_async:
            return execute_sync(found, lease, a_step(lease), pool)

        async def alone():
            try:
                return await execute_async(found, lease, a_step(lease), pool)
            finally:
                await pool.aclose(asyncio.get_running_loop())

        return asyncio.run(alone())

    return run


@pytest.fixture
def scratch(notes):
    """A resource of an attempt that notes what it sees."""

    @resource(scope="attempt")
    def scratch(step: Step):
        notes.append(f"open {step.attempt}")
        try:
            yield notes
        except BaseException as error:
            notes.append(type(error).__name__)
            raise
        finally:
            notes.append("close")

    return scratch


@pytest.fixture
def ascratch(notes):
    @resource(scope="attempt")
    async def ascratch(step: Step):
        notes.append(f"open {step.attempt}")
        try:
            yield notes
        except BaseException as error:
            notes.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0)
            notes.append("close")

    return ascratch
