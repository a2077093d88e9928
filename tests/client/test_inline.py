"""`run` of the clients: inline, by handlers of this very process."""

from __future__ import annotations

import asyncio
import os

import pytest

from tributary_daemon import app
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput, WaitTimeout, WorkFailed
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import REGISTRY


@pytest.fixture
def where():
    """A handler that exists in this process alone."""

    @handler("test.where.v1", max_attempts=1)
    def where(fail: bool = False) -> int:
        if fail:
            raise ValueError("as told")
        return os.getpid()

    yield where
    REGISTRY.remove("test.where.v1")


def test_a_handler_of_this_process_runs_in_it(client, where):
    assert client.run(where) == os.getpid()
    flow = Workflow("test.flow.v1").add("here", where)
    assert client.run(flow) == {"here": os.getpid()}


def test_a_failure_is_raised(client, where):
    with pytest.raises(WorkFailed, match="as told"):
        client.run("test.where.v1", {"fail": True})


def test_the_same_for_asyncio(database, where):
    async def main():
        async with app.AsyncClient(database) as client:
            return await client.run(where)

    assert asyncio.run(main()) == os.getpid()


def test_what_only_others_have_is_refused_not_awaited(client, hand):
    hand.offer("test.elsewhere.v1")
    with pytest.raises(InvalidInput, match=r"no handler 'test\.elsewhere\.v1' is loaded here"):
        client.run("test.elsewhere.v1")
    assert client.list().items == ()


def test_a_timeout_cancels(client):
    with pytest.raises(WaitTimeout):
        client.run("trib.sleep.v1", {"seconds": 60}, timeout=0.2)
    assert [item.state for item in client.list().items] == ["cancelled"]
