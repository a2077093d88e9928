"""What a process does with its resources, piece by piece."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated

import pytest

from tributary_daemon import Use, events, handler, resource
from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.daemon.closing import close_within
from tributary_daemon.daemon.core import ProcessCore
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.engine.pool import Pool
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.resources import record_of
from tributary_daemon.model.outcome import Completed

URL = "postgresql://nobody@127.0.0.1:1/none"


class Powerless:
    """The runtime of attempts that write nothing of themselves."""

    async def asettle(self, held, outcome):
        return outcome


@pytest.fixture
def notes():
    return []


@pytest.fixture
def bank(notes):
    @resource
    def bank():
        notes.append("bank opened")
        yield 1
        notes.append("bank closed")

    return bank


def held(found):
    return Held(
        "0199aaaa-0000-7000-8000-000000000001", 0, 1, "intent", found.name, None, "default", 1, 3, 0, "{}",
        handler=found,
    )  # fmt: skip


def test_a_loop_that_ends_with_its_attempt_closes_what_is_open_in_it_alone(notes, bank):
    @resource
    async def session(bank: Annotated[int, Use(bank)]):
        notes.append("session opened")
        yield bank
        notes.append("session closed")

    @handler("res.part.v1")
    async def work(session: Annotated[int, Use(session)]) -> int:
        return session

    attempts = Attempts(Powerless())
    for _ in range(2):
        outcome = asyncio.run(attempts.arun_alone(held(REGISTRY.get("res.part.v1"))))
        assert outcome == Completed("1")
    assert notes == ["bank opened", *["session opened", "session closed"] * 2]
    attempts.pool.close()
    assert notes[-1] == "bank closed"


def test_what_does_not_close_is_not_waited_for_without_end(notes, bank):
    on = threading.Event()

    @resource
    def stuck():
        yield 1
        on.wait(60)

    pool, told, alive = Pool(), [], []
    for each in (bank, stuck):
        pool.get(record_of(each))
    detach = events.attach(told.append)
    try:
        close_within(pool, 0.3, lambda: alive.append(True))
        assert [event.error for event in told] == ["not done after 300ms"]
        assert "stuck" in told[0].resource
        assert alive
        assert "bank closed" not in notes
    finally:
        detach()
        on.set()


@pytest.mark.parametrize(
    ("reason", "disposable", "closes"),
    [
        (Exit.DRAINED, True, True),
        (Exit.RETIRED, True, True),
        (Exit.FENCED, True, False),
        (Exit.FAILED, True, False),
        (Exit.FENCED, False, True),
    ],
)
def test_a_process_whose_work_others_do_by_now_ends_without_closing(notes, bank, reason, disposable, closes):
    core = ProcessCore(
        ProcessSetup(url=URL, label="w/1"), REGISTRY, sign=lambda *_: None, ended=lambda _: None,
        retiring=lambda: None, disposable=disposable,
    )  # fmt: skip
    # it is never started, so nobody else closes its loop
    core._crew._loop._loop.close()
    core._attempts.pool.get(record_of(bank))
    core._reason = reason
    core._close_resources()
    assert ("bank closed" in notes) is closes
