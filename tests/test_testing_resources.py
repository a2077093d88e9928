"""`tributary_daemon.testing` with handlers that ask for resources: real ones, or what stands in for them."""

from __future__ import annotations

from typing import Annotated

import pytest

from tributary_daemon import Use, Workflow, handler, resource
from tributary_daemon.errors import HandlerError
from tributary_daemon.testing import Bench, override, run_workflow


class Shop:
    """Handlers and resources of one test, and what they noted."""

    def __init__(self):
        self.notes = notes = []

        @resource
        def bank():
            notes.append("bank opened")
            yield "the bank"
            notes.append("bank closed")

        @resource
        async def session(bank: Annotated[str, Use(bank)]):
            notes.append("session opened")
            yield f"a session with {bank}"
            notes.append("session closed")

        @resource(scope="attempt")
        def scratch():
            try:
                yield notes.append("scratch opened")
            finally:
                notes.append("scratch closed")

        @handler("shop.charge.v1")
        def charge(cents: int, bank: Annotated[str, Use(bank)], own: Annotated[None, Use(scratch)]) -> str:
            return f"{cents} from {bank}"

        @handler("shop.call.v1")
        async def call(session: Annotated[str, Use(session)]) -> str:
            return session

        self.bank, self.session, self.scratch, self.charge = bank, session, scratch, charge
        self.flow = (
            Workflow("shop.order.v1")
            .add("charge", "shop.charge.v1", {"cents": 3})
            .add("call", "shop.call.v1")
            .add("again", "shop.call.v1")
        )


@pytest.fixture
def shop():
    return Shop()


def results(document):
    return {name: step.result for name, step in document.steps.items()}


def test_a_bench_opens_once_and_closes_at_its_end(server, shop):
    with Bench(url=server) as bench:
        document = bench.run(shop.flow)
        assert results(document) == {
            "charge": "3 from the bank",
            "call": "a session with the bank",
            "again": "a session with the bank",
        }
        assert sorted(shop.notes) == ["bank opened", "scratch closed", "scratch opened", "session opened"]
        with override(shop.bank, "a fake"):
            assert bench.run("shop.charge.v1", {"cents": 4}).result == "4 from a fake"
        del shop.notes[:]
    assert shop.notes == ["session closed", "bank closed"]


def test_what_stands_in_is_there_and_the_real_one_is_not_opened(server, shop):
    fakes = {shop.bank: "a fake", shop.scratch: lambda: None}
    document = run_workflow(shop.flow, url=server, resources=fakes)
    assert results(document)["again"] == "a session with a fake"
    assert set(shop.notes) == {"session opened", "session closed"}


def test_only_resources_can_be_stood_in_for(shop):
    with pytest.raises(HandlerError, match="charge is no resource"):
        Bench(resources={shop.charge: "x"})
