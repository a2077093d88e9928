"""Inferred graphs from Python: `Workflow.infer`, `client.run(Type, given=…)`, and from a file."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NewType

import pytest
from pydantic import BaseModel

from tributary_daemon import app
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput, InvalidWorkflow
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import REGISTRY

Region = NewType("Region", str)


class UserID(BaseModel):
    id: str


class Profile(BaseModel):
    name: str


@dataclass
class Taste:
    dark: bool
    region: str


class Enriched(BaseModel):
    profile: Profile
    taste: Taste


NAMES = ("infer.fetch_profile.v1", "infer.fetch_taste.v1", "infer.enrich.v1", "infer.unused.v1")


@pytest.fixture
def calls():
    """The handlers of the example, in this process; returns what was called."""
    called = []

    @handler("infer.fetch_profile.v1")
    def fetch_profile(user: UserID) -> Profile:
        called.append("profile")
        return Profile(name=user.id.upper())

    @handler("infer.fetch_taste.v1")
    def fetch_taste(user: UserID, region: Region) -> Taste:
        called.append("taste")
        return Taste(dark=True, region=region)

    @handler("infer.enrich.v1")
    def enrich(profile: Profile, taste: Taste) -> Enriched:
        called.append("enrich")
        return Enriched(profile=profile, taste=taste)

    @handler("infer.unused.v1")
    def unused(profile: Profile) -> UserID:
        called.append("unused")
        return UserID(id=profile.name)

    yield called
    for name in NAMES:
        REGISTRY.remove(name)


def test_a_type_is_run_and_returned(client, calls):
    result = client.run(Enriched, given={UserID: UserID(id="ada"), Region: "eu"})
    assert result == Enriched(profile=Profile(name="ADA"), taste=Taste(dark=True, region="eu"))
    assert sorted(calls) == ["enrich", "profile", "taste"]


def test_the_same_for_asyncio(database, calls):
    async def main():
        async with app.AsyncClient(database) as client:
            return await client.run(Enriched, given={UserID: UserID(id="ada"), Region: "eu"})

    assert asyncio.run(main()).profile.name == "ADA"


def test_a_given_type_replaces_its_handler(client, calls):
    result = client.run(Enriched, given=[Profile(name="Ada"), Taste(dark=False, region="us")])
    assert result.taste.region == "us"
    assert calls == ["enrich"]


def test_the_inferred_steps_are_written_like_others(client, calls):
    flow = Workflow.infer(Enriched, given={UserID: UserID(id="ada ${{ inputs.x }}"), Region: Region})
    shown = client.dry_run(flow, {"region": "eu"})
    assert shown["inputs"] == {"user_id": {"id": "ada ${{ inputs.x }}"}, "region": "eu"}
    assert {step: told["needs"] for step, told in shown["steps"].items()} == {
        "enriched_fetch_profile": [],
        "enriched_fetch_taste": [],
        "enriched": ["enriched_fetch_profile", "enriched_fetch_taste"],
    }
    assert shown["steps"]["enriched_fetch_taste"]["with"] == {
        "user": "${{ inputs.user_id }}",
        "region": "${{ inputs.region }}",
    }


def test_a_graph_stands_among_other_steps(client, calls):
    flow = (
        Workflow("infer.among.v1")
        .add("who", "trib.noop.v1", {"id": "ada"})
        .want("user", Enriched, {UserID: "${{ steps.who.result }}", Region: "eu"}, max_attempts=2, queue="q")
        .add("after", "trib.noop.v1", {"name": "${{ steps.user.result.profile.name }}"})
    )
    spec, _ = flow.split(client._signatures())
    assert [step.id for step in spec.steps] == [
        "who",
        "user_fetch_profile",
        "user_fetch_taste",
        "user",
        "after",
    ]
    assert spec.step("user_fetch_profile").needs == ("who",)
    assert spec.step("after").needs == ("user",)
    assert [step.options for step in spec.steps[1:4]] == [{"queue": "q", "max_attempts": 2}] * 3


def test_a_type_without_a_name_is_refused():
    with pytest.raises(InvalidInput, match="does not say what it stands for"):
        Workflow.infer(dict)
    with pytest.raises(InvalidInput, match="an empty list"):
        Workflow.infer(Enriched, given=[[]])


def test_a_missing_leaf_is_named(client, calls):
    with pytest.raises(
        InvalidWorkflow, match=r"makes .*Region, asked for by infer.fetch_taste.v1 \(region\)"
    ):
        client.submit(Workflow.infer(Enriched, given=[UserID(id="ada")]))
    assert client.list().items == ()


def test_other_handlers_make_another_revision_of_the_same_source(client, calls):
    flow = Workflow.infer(Enriched, given={UserID: UserID(id="ada"), Region: "eu"})
    before = flow.split(client._signatures())[0]
    REGISTRY.remove("infer.fetch_profile.v1")

    @handler("infer.fetch_profile.v1")
    def other(region: Region) -> Profile:
        return Profile(name=region)

    after = flow.split(client._signatures())[0]
    assert before.source == after.source
    assert before.revision_hash() != after.revision_hash()
