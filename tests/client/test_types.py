"""Types against what workers have registered, and against handlers of this process."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.spec import known
from tributary_daemon import app
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.store import fleet, membership

WRONG = """name: shop.wrong.v1
steps:
  box: {task: shop.resize.v1, with: {width: wide}}
  next: {task: shop.anything.v1, with: {x: "${{ steps.box.result.size }}"}}
"""
WANTS = """name: shop.wants.v1
inputs: {id: {type: string}}
steps:
  user: {want: known.EnrichedUser, given: {known.UserID: {id: "${{ inputs.id }}"}}}
"""


@pytest.fixture
def registered(database):
    """The shop's handlers as a worker elsewhere has registered them; returns a connection."""
    with psycopg.connect(database, autocommit=True) as connection:
        described = [known.known(each, exact=False) for each in known.FUNCTIONS]
        membership.register_handlers(
            connection,
            [
                {"name": each.name, "input_schema": each.input_schema, "output_schema": each.output_schema}
                for each in described
            ],
        )
        yield connection


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


@pytest.fixture
def wants(tmp_path):
    path = tmp_path / "wants.yaml"
    path.write_text(WANTS)
    return path


def test_what_is_registered_warns_and_refuses_when_asked(client, registered, wrong):
    places = [
        "shop.wrong.v1:3:45: warning: `with.width` must be",
        "shop.wrong.v1:4:45: warning: `steps.box.result`",
    ]
    for warnings in (client.register(wrong).warnings, client.dry_run(wrong)["warnings"]):
        assert [text.startswith(place) for text, place in zip(warnings, places, strict=True)] == [True, True]
    for strictly in (client.register, client.dry_run, client.submit):
        with pytest.raises(InvalidWorkflow) as caught:
            strictly(wrong, strict=True)
        assert [problem.code for problem in caught.value.problems] == ["TRB153", "TRB154"]
    assert client.list().items == ()


def test_a_plain_submit_reads_no_registry(client, registered, wrong, monkeypatch):
    def fail():
        raise AssertionError("a round trip")

    monkeypatch.setattr(fleet, "known", fail)
    assert client.submit(wrong).created
    assert client.submit(Workflow("shop.built.v1").add("a", "shop.resize.v1", {"width": "wide"})).created


def test_workflows_built_here_are_checked_strictly_too(client, registered):
    flow = Workflow("shop.built.v1").add("a", "shop.resize.v1", {"width": 1, "x": "${{ steps.b.result }}"})
    flow.add("b", "shop.find.v1", {"query": "x"})
    with pytest.raises(InvalidWorkflow) as caught:
        client.submit(flow, strict=True)
    assert [problem.message for problem in caught.value.problems] == [
        "steps.a.with.x: `with` has an unknown 'x' (shop.resize.v1)"
    ]
    # payloads without expressions are kept beside the document, so nothing is missing from it
    assert client.submit(
        Workflow("shop.kept.v1").add("a", "shop.find.v1", {"query": "x"}), strict=True
    ).created


def test_a_graph_is_inferred_from_what_is_registered(client, registered, wants):
    steps = client.get(client.submit(wants, {"id": "ada"}).id).to_json()["steps"]
    assert {step: told["name"] for step, told in steps.items()} == {
        "user_fetch_profile": "shop.fetch_profile.v1",
        "user_fetch_preferences": "shop.fetch_preferences.v1",
        "user": "shop.enrich.v1",
    }
    client.register(wants)
    assert client.submit("shop.wants.v1", {"id": "ada"}).created


def test_the_same_for_asyncio(database, registered, wants):
    async def main():
        async with app.AsyncClient(database) as client:
            told = await client.dry_run(wants, {"id": "ada"})
            await client.register(wants)
            return told

    assert list(asyncio.run(main())["steps"]) == ["user_fetch_profile", "user_fetch_preferences", "user"]


def test_a_disabled_handler_makes_nothing(client, registered, wants):
    registered.execute(
        "update tributary.registry set is_enabled = false where name like 'shop.fetch_profile%'"
    )
    with pytest.raises(InvalidWorkflow, match=r"no handler makes .*Profile, asked for by shop\.enrich\.v1"):
        client.submit(wants, {"id": "ada"})
    assert client.list().items == ()


def test_a_handler_of_the_past_gives_way_to_one_that_a_worker_has(client, registered, wants):
    twin = known.known(known.fetch_profile, exact=False)
    membership.register_handlers(
        registered,
        [{"name": "shop.past.v1", "input_schema": twin.input_schema, "output_schema": twin.output_schema}],
    )
    with pytest.raises(
        InvalidWorkflow, match=r"2 handlers make .*Profile: shop\.fetch_profile\.v1 and shop\.past"
    ):
        client.dry_run(wants, {"id": "ada"})
    membership.register_worker(
        registered, name="w", host="h", pid=1, version="1", queues=["default"],
        names=["shop.fetch_profile.v1"], concurrency=1, failures=[],
    )  # fmt: skip
    steps = client.dry_run(wants, {"id": "ada"})["steps"]
    assert steps["user_fetch_profile"]["name"] == "shop.fetch_profile.v1"


@pytest.fixture
def here():
    @handler("shop.resize.v1")
    def resize(width: int) -> int:
        return width

    yield resize
    REGISTRY.remove("shop.resize.v1")


def test_what_this_process_has_refuses_with_its_place(client, wrong, here):
    with pytest.raises(InvalidWorkflow) as caught:
        client.submit(wrong)
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(3, 45), (4, 45)]
    assert client.list().items == ()
