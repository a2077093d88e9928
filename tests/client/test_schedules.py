"""Schedules from Python: added, registered with their workflow, steered, triggered, backfilled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tributary_daemon import app, handler
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput, NotFound, NotPossible, PreconditionFailed

SPEC = Workflow("shop.report.v1", inputs={"day": {"type": "string"}}).add("a", "test.a.v1").spec()


def with_schedule(*entries):
    return replace(SPEC, schedule=entries, source="")


def entry(cron, **more):
    return {"cron": cron, "inputs": {"day": "monday"}, **more}


@handler("test.scheduled.v1", queue="slow")
def scheduled(n: int) -> int:
    return n


def test_an_intent_is_scheduled_and_told_with_its_next_slots(client):
    added = client.schedule(
        "nightly", "15 2 * * *", scheduled, {"n": 3}, timezone="Europe/Berlin", catchup="6h",
        jitter=timedelta(minutes=2), priority=4, retry={"delay": "5s"},
    )  # fmt: skip
    assert (added.kind, added.target, added.state, added.payload) == (
        "intent",
        "test.scheduled.v1",
        "active",
        {"n": 3},
    )
    assert (added.catchup, added.jitter) == (21_600, 120)
    assert added.options == {"priority": 4, "retry": {"delay": 5.0}}
    assert len(added.next) == 5
    assert {at.astimezone(UTC).hour for at in added.next} <= {0, 1}
    assert added.next[0] > datetime.now(UTC)
    assert added.warnings == ("no worker has offered the handler 'test.scheduled.v1' yet; it waits for one",)
    (listed,) = client.schedules(upcoming=2)
    assert listed.next == added.next[:2]
    assert listed.to_json()["next"][0].endswith(":15:00.000000Z")
    # the same name changes it
    assert client.schedule("nightly", "@daily", "test.a.v1", overlap="queue").overlap == "queue"
    assert [one.target for one in client.schedules()] == ["test.a.v1"]


REFUSED = [
    ({"cron": "61 * * * *"}, "minutes are 0 to 59"),
    ({"timezone": "Berlin"}, "did you mean Europe/Berlin"),
    ({"overlap": "sometimes"}, "use skip, queue, allow"),
    ({"catchup": "soon"}, "not a duration"),
    ({"jitter": -1}, "out of range"),
    ({"target": "flow.yaml"}, "there is no file"),
    ({"target": SPEC}, "register the file"),
    ({"target": scheduled, "payload": {"m": 1}}, "does not take this payload"),
    ({"kind": "run"}, "no workflow named 'test.a.v1'"),
    ({"target": "shop.report.v1"}, "input 'day' is required"),
    ({"target": "shop.report.v1", "payload": [1]}, "inputs must be an object"),
    ({"labels": {"team": "x"}}, "intents have no labels"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"name": "x" * 201}, "at most 200 characters"),
    ({"name": ""}, "a schedule's name must be"),
]


def test_what_cannot_work_is_refused_before_it_is_stored(client):
    client.register(SPEC)
    for given, words in REFUSED:
        options = {"name": "s", "cron": "* * * * *", "target": "test.a.v1", "payload": None, **given}
        first = [options.pop(key) for key in ("name", "cron", "target", "payload")]
        with pytest.raises((InvalidInput, NotFound)) as refused:
            client.schedule(*first, **options)
        assert words in str(refused.value)
    assert client.schedules() == ()


def test_a_registration_makes_the_schedules_those_of_its_workflow(client, hand):
    def shown():
        return {one.name: (one.cron, one.state, one.payload) for one in client.schedules()}

    monday = {"day": "monday"}
    client.register(
        with_schedule(entry("0 1 * * *"), entry("0 2 * * *", timezone="Europe/Berlin", catchup=60))
    )
    assert shown() == {
        "shop.report.v1": ("0 1 * * *", "active", monday),
        "shop.report.v1#2": ("0 2 * * *", "active", monday),
    }
    assert client.get_schedule("shop.report.v1#2").catchup == 60
    client.pause_schedule("shop.report.v1")
    # another revision changes the first, which stays paused, and has no second one
    assert client.register(with_schedule(entry("0 3 * * *"))).change == "revised"
    assert shown() == {"shop.report.v1": ("0 3 * * *", "paused", monday)}
    client.unschedule("shop.report.v1")
    # registered once more it comes back, though nothing else changes
    assert client.register(with_schedule(entry("0 3 * * *"))).change == "unchanged"
    assert shown() == {"shop.report.v1": ("0 3 * * *", "active", monday)}
    # one that was disabled gets another chance
    hand.sql("update tributary.schedules set state = 'disabled', error = 'no'")
    client.register(with_schedule(entry("0 3 * * *")))
    assert shown()["shop.report.v1"][1] == "active"
    client.register(SPEC)
    assert shown() == {}


def test_a_registration_with_bad_times_stores_nothing(client):
    with pytest.raises(InvalidInput, match="no hour"):
        client.register(with_schedule(entry("0 25 * * *")))
    assert client.workflow("shop.report.v1") is None
    client.schedule("shop.report.v1", "@daily", "test.a.v1")
    with pytest.raises(NotPossible, match="added by hand"):
        client.register(with_schedule(entry("0 1 * * *")))
    assert client.workflow("shop.report.v1") is None, "both or nothing"
    client.unschedule("shop.report.v1")
    client.register(with_schedule(entry("0 1 * * *")))
    with pytest.raises(NotPossible, match="kept by the registration of workflow"):
        client.schedule("shop.report.v1", "@daily", "test.a.v1")


def test_a_trigger_starts_the_registered_revision_with_all_checks(client, hand):
    client.register(SPEC)
    client.schedule("s", "@daily", "shop.report.v1", {"day": "monday"}, labels={"team": "x"}, paused=True)
    run_id = client.trigger_schedule("s")
    run = client.get(run_id)
    assert (run.name, run.inputs, run.labels) == (
        "shop.report.v1",
        {"day": "monday"},
        {"team": "x", "schedule": "s"},
    )
    shown = client.get_schedule("s")
    assert (shown.state, shown.fired, shown.last_id, shown.next) == ("paused", 1, run_id, ())
    (fire,) = shown.fires
    assert (fire.cause, fire.outcome, fire.id) == ("trigger", "fired", run_id)
    # the workflow asks for something else now
    client.register(replace(SPEC, inputs={}, source=""))
    with pytest.raises(InvalidInput, match="unknown input 'day'"):
        client.trigger_schedule("s")


def test_a_backfill_fires_each_slot_of_the_past_once(client, hand):
    client.schedule("s", "0 2 * * *", "test.a.v1", timezone="Europe/Berlin", overlap="allow")
    planned = client.backfill_schedule("s", "2026-10-24", "2026-10-27", dry_run=True)
    utc = [one.slot.strftime("%d %H:%M") for one in planned]
    assert utc == ["24 00:00", "25 00:00", "26 01:00"], "dates are those of the schedule's zone"
    assert hand.sql("select count(*) from tributary.steps") == [(0,)]
    first = client.backfill_schedule("s", "2026-10-25", planned[-1].slot)
    assert [one.outcome for one in first] == ["fired", "fired"]
    again = client.backfill_schedule("s", "2026-10-24", "2026-10-27")
    assert [one.outcome for one in again] == ["fired", "known", "known"]
    assert [one.id for one in again[1:]] == [one.id for one in first]
    rows = hand.sql("select run_at from tributary.steps order by run_at")
    assert [row[0].astimezone(UTC) for row in rows] == [one.slot for one in planned]


DEMANDING = replace(
    SPEC,
    labels={"env": "dev"},
    preconditions=({"if": "!startsWith(run.scheduled_for, '2026-10-26')", "message": "not on Mondays"},),
    concurrency={"group": "report-${{ run.labels.env }}", "limit": 1, "on_limit": "queue"},
    source="",
)


@pytest.mark.parametrize("overlap", ["allow", "queue"])
def test_what_a_workflow_demands_is_asked_of_each_slot_of_a_backfill(client, hand, overlap):
    client.register(DEMANDING)
    client.schedule("s", "0 2 * * *", "shop.report.v1", {"day": "x"}, labels={"env": "prod"}, overlap=overlap)
    with pytest.raises(PreconditionFailed, match="not on Mondays"):
        client.backfill_schedule("s", "2026-10-24", "2026-10-27")
    assert client.get_schedule("s").fires == (), "all or nothing"
    done = client.backfill_schedule("s", "2026-10-24", "2026-10-26")
    assert [one.outcome for one in done] == [{"allow": "fired"}.get(overlap, "queued")] * 2
    groups = hand.sql("select name from tributary.groups")
    assert groups == ([("report-prod",)] if overlap == "allow" else [])


def test_what_a_workflow_demands_is_asked_by_a_trigger(client, hand):
    client.register(DEMANDING)
    client.schedule("s", "@daily", "shop.report.v1", {"day": "x"}, labels={"env": "prod"})
    assert client.get(client.trigger_schedule("s")).labels["env"] == "prod"
    assert hand.sql("select name from tributary.groups") == [("report-prod",)]
    never = replace(DEMANDING, preconditions=({"if": "inputs.day == 'y'", "message": "only y"},))
    client.register(never)
    with pytest.raises(PreconditionFailed, match="only y"):
        client.trigger_schedule("s")
    assert client.get_schedule("s").fired == 1


def test_slots_of_a_backfill_wait_where_work_must_not_overlap(client):
    client.schedule("s", "@hourly", "test.a.v1")
    slots = client.backfill_schedule("s", "2026-10-25T00:00Z", "2026-10-25T02:30Z")
    assert [one.outcome for one in slots] == ["queued"] * 3
    assert client.get_schedule("s").queued == 3
    assert [
        one.outcome for one in client.backfill_schedule("s", "2026-10-25T00:00Z", "2026-10-25T02:30Z")
    ] == ["queued"] * 3
    assert client.get_schedule("s").queued == 3


def test_a_backfill_that_makes_no_sense_is_refused(client):
    client.schedule("s", "@hourly", "test.a.v1")
    for first, last, words in (
        ("yesterday", "2026-01-01", "is not a time"),
        ("2026-01-02", "2026-01-01", "ends before it starts"),
        ("2999-01-01", "2999-01-02", "for the past"),
        ("2026-01-01", "2026-01-03", "more than 20 slots"),
    ):
        with pytest.raises(InvalidInput, match=words):
            client.backfill_schedule("s", first, last, limit=20)


def test_what_is_wrong_is_told_before_a_leader_looks(client, hand):
    hand.sql("select tributary.schedule_intent('bad', '61 * * * *', 'test.a.v1')")
    (bad,) = client.schedules()
    assert (bad.state, bad.next) == ("active", ())
    assert "minutes are 0 to 59" in bad.error
    with pytest.raises(InvalidInput, match="minutes are 0 to 59"):
        client.resume_schedule("bad")
    hand.sql("update tributary.schedules set cron = '* * * * *', since = now() + interval '1 hour'")
    assert client.get_schedule("bad").overdue == 0, "it was never looked at, and has no slot yet"
    hand.sql("update tributary.schedules set since = now() - interval '3 minutes'")
    assert client.get_schedule("bad").overdue > 100
    hand.sql("update tributary.schedules set next_slot = now() - interval '1 minute'")
    hand.sql("update tributary.schedules set next_at = next_slot")
    assert 59 < client.get_schedule("bad").overdue < 100
    for call in (client.get_schedule, client.pause_schedule, client.trigger_schedule, client.unschedule):
        with pytest.raises(NotFound, match="did you mean 'bad'"):
            call("bat")


def test_a_tenant_has_its_own(database):
    with app.Client(database, tenant="acme") as acme, app.Client(database) as everyone:
        acme.schedule("a", "@daily", "test.a.v1")
        everyone.schedule("b", "@daily", "test.a.v1")
        assert [one.name for one in acme.schedules()] == ["a"]
        assert len(everyone.schedules()) == 2
        assert acme.get(acme.trigger_schedule("a")).tenant == "acme"
        with pytest.raises(NotPossible, match="there is a schedule named 'a' already"):
            everyone.schedule("a", "@hourly", "test.a.v1")
        for act in (acme.trigger_schedule, acme.pause_schedule, acme.unschedule):
            with pytest.raises(NotFound, match="there is no schedule named 'b'"):
                act("b")
        everyone.unschedule("b")


def test_the_same_for_asyncio(database):
    async def main():
        async with app.AsyncClient(database) as client:
            await client.schedule("s", "@daily", "test.a.v1", {"n": 1})
            assert [one.name for one in await client.schedules()] == ["s"]
            assert await client.pause_schedule("s") == "active"
            assert await client.resume_schedule("s", catch_up=True) == "paused"
            run_id = await client.trigger_schedule("s")
            assert (await client.get_schedule("s")).fires[0].id == run_id
            assert len(await client.backfill_schedule("s", "2026-01-01", "2026-01-02")) == 2
            await client.unschedule("s")
            assert await client.schedules() == ()

    asyncio.run(main())
