"""What happens is told once, in order, whoever commits when; and a stream ends with its work."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tributary_daemon import app
from tributary_daemon.client.event_reading import Following, known_types
from tributary_daemon.errors import InvalidInput, NotFound
from tributary_daemon.model.happenings import EVENT_TYPES

NAME = "test.a.v1"


class Stream:
    """A `Following` whose looks are taken one by one."""

    def __init__(self, client, *args, **given):
        self._client = client
        self._following = Following(*args, **given)
        self.first = self._look(self._following.open)

    def news(self):
        return self._look(self._following.news)

    def _look(self, make):
        return [(event.id, event.type, event.attempt) for event in self._client._link.run(make, again=True)]


@pytest.fixture
def stream(client):
    return lambda *args, **given: Stream(client, *args, **given)


def test_all_that_happens_is_told_once(client, hand, stream):
    hand.offer(NAME)
    before = client.submit(NAME)
    seen = stream()
    assert seen.first == []
    assert seen.news() == []
    intent = client.submit(NAME, {"n": 1})
    assert seen.news() == [(intent.id, "intent_created", None)]
    row = hand.claim()
    assert seen.news() == [(before.id, "step_started", 1)]
    # started_at, which comes with the end, is later than the claim: the same start all the same
    hand.finish(row, "completed", result=1)
    assert seen.news() == [(before.id, "step_completed", 1)]
    assert seen.news() == []


def test_attempts_are_told_each_in_its_order(client, hand, stream):
    hand.offer(NAME)
    seen = stream(types=["step_*"])
    intent = client.submit(NAME)
    told = []
    for outcome in ("snoozed", "retry"):
        hand.finish(hand.claim(), outcome, error={"type": "X", "message": "x"}, delay=0.0)
        told += seen.news()
    hand.finish(hand.claim(), "completed", result=1)
    told += seen.news()
    assert [(kind, attempt) for _, kind, attempt in told] == [
        # a start that was put off leaves no trace but its own event
        ("step_snoozed", 1),
        ("step_started", 1),
        ("step_retry", 1),
        ("step_started", 2),
        ("step_completed", 2),
    ]
    assert {work for work, _, _ in told} == {intent.id}


def test_a_run_and_its_steps_are_in_the_stream_of_all(client, hand, stream, tmp_path):
    hand.offer(NAME)
    file = tmp_path / "two.yaml"
    file.write_text(f"name: test.two.v1\nsteps: {{a: {{task: {NAME}}}, b: {{task: {NAME}, needs: a}}}}\n")
    seen = stream()
    run = client.submit(file)
    for _ in range(2):
        hand.finish(hand.claim(), "completed", result=1)
    types = [kind for work, kind, _ in seen.news() if work == run.id]
    assert types[0] == "run_created"
    assert types[-1] == "run_completed"
    assert sorted(types[1:-1]) == ["step_completed", "step_completed", "step_started", "step_started"]


def test_what_commits_late_is_told_all_the_same(client, database, stream):
    seen = stream()
    with psycopg.connect(database) as connection:
        late = client.submit(NAME, connection=connection)
        soon = client.submit(NAME)
        assert [work for work, _, _ in seen.news()] == [soon.id]
    assert [work for work, _, _ in seen.news()] == [late.id]


def test_a_stream_begins_where_it_is_told(client, stream):
    one, two, three = (client.submit(NAME) for _ in range(3))
    assert [work for work, _, _ in stream(last=2).first] == [two.id, three.id]
    page = client.events(limit=3)
    assert [event.id for event in page.items] == [one.id, two.id, three.id]
    assert [work for work, _, _ in stream(since="1h").news()] == [one.id, two.id, three.id]
    four = client.submit(NAME)
    assert [work for work, _, _ in stream(after=page.after).news()] == [four.id]
    assert [event.id for event in client.events(after=page.after).items] == [four.id]
    assert client.events(since="1h", types=["run_*"]).items == ()


def test_a_stream_ends_with_its_work_and_outlives_its_connection(client, hand, database):
    hand.offer(NAME)
    intent = client.submit(NAME)
    following = client.follow_events(intent.id, last=10)
    assert next(following).type == "intent_created"
    hand.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'trib client' and datname = current_database()"
    )
    hand.finish(hand.claim(), "completed", result=1)
    assert [event.type for event in following] == ["step_started", "step_completed"]

    async def again():
        async with app.AsyncClient(database) as other:
            return [event.type async for event in other.follow_events(intent.id, since="1h")]

    assert asyncio.run(again()) == ["intent_created", "step_started", "step_completed"]


def test_a_tenant_hears_of_its_own_work_only(database):
    with app.Client(database, tenant="acme") as acme, app.Client(database) as everyone:
        seen, all_seen = Stream(acme), Stream(everyone)
        mine, other = acme.submit(NAME), everyone.submit(NAME)
        assert [work for work, _, _ in seen.news()] == [mine.id]
        assert [work for work, _, _ in all_seen.news()] == [mine.id, other.id]


def test_types_may_be_patterns():
    assert known_types([]) is None
    assert known_types(["run_failed", "step_st*"]) == ("run_failed", "step_started")
    assert known_types(["*"]) == EVENT_TYPES
    with pytest.raises(InvalidInput, match="no events 'run_faild'") as caught:
        known_types(["run_faild"])
    assert "did you mean 'run_failed'" in caught.value.hint
    with pytest.raises(InvalidInput, match="list of names"):
        known_types("run_failed")


def test_what_is_not_there_is_not_followed(client):
    with pytest.raises(NotFound):
        client.follow_events("01234567-89ab-7def-8123-456789abcdef")
    with pytest.raises(NotFound):
        client.events("01234567-89ab-7def-8123-456789abcdef")
    with pytest.raises(InvalidInput, match="no cursor"):
        client.events(after="x")
    with pytest.raises(InvalidInput, match="out of range"):
        client.events(limit=0)
