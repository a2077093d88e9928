"""Ids that work carries: given with a submit, kept beside it, found by filters, inherited."""

from __future__ import annotations

import psycopg
import pytest

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.correlation import CURRENT, Correlation, is_traceparent

NAME = "test.a.v1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
IDS = {"correlation_id": "req-7", "business_id": "order-9", "traceparent": PARENT}


def ids_of(document):
    return {name: document.to_json()[name] for name in IDS}


def test_an_intent_carries_what_its_submit_says(client, hand):
    hand.offer(NAME)
    bare, given = client.submit(NAME), client.submit(NAME, **IDS)
    assert ids_of(client.get(given.id)) == IDS
    assert ids_of(client.get(bare.id)) == dict.fromkeys(IDS)
    assert [(e.correlation_id, e.business_id) for e in client.events(given.id).items] == [
        ("req-7", "order-9")
    ]
    assert {e.id: e.correlation_id for e in client.events().items} == {bare.id: None, given.id: "req-7"}
    # what carries nothing has no row for it, and a small payload still lies in its step
    assert hand.sql("select run_id::text from tributary.correlations") == [(given.id,)]
    assert hand.sql("select count(*) from tributary.payloads") == [(0,)]
    marks = hand.sql("select correlated from tributary.steps order by run_id")
    assert marks == [(None,), (True,)]


def test_runs_and_what_they_become_carry_it(client, hand, diamond):
    hand.offer(NAME)
    run = client.submit(diamond, **IDS)
    assert ids_of(client.get(run.id)) == IDS
    assert hand.sql("select bool_and(correlated) from tributary.steps") == [(True,)]
    again = client.rerun(run.id)
    # another trace, but the same business
    assert ids_of(client.get(again.id)) == {**IDS, "traceparent": None}


def test_lists_are_filtered_by_it(client, diamond):
    intents = [client.submit(NAME, correlation_id="req-7").id for _ in range(3)]
    run = client.submit(diamond, correlation_id="req-7", business_id="order-9").id
    traced = client.submit(NAME, traceparent=PARENT).id
    client.submit(NAME, correlation_id="req-70")

    def listed(**given):
        return [item.id for item in client.list(**given).items]

    newest_first = [run, *reversed(intents)]
    assert listed(correlation_id="req-7") == newest_first
    assert listed(correlation_id="req-7", kind="run") == [run]
    assert listed(correlation_id="req-7", state="waiting", name=NAME) == newest_first[1:]
    assert listed(correlation_id="req-7", business_id="order-9") == [run] == listed(business_id="order-9")
    assert listed(trace_id=TRACE) == [traced]
    assert listed(correlation_id="nobody") == []
    page = client.list(correlation_id="req-7", limit=2)
    assert [item.id for item in page.items] == newest_first[:2]
    rest = client.list(correlation_id="req-7", limit=2, after=page.after)
    assert [item.id for item in rest.items] == newest_first[2:]


def test_many_intents_carry_the_same(client, hand):
    hand.offer(NAME)
    ids = client.submit_many(NAME, [{"n": n} for n in range(5)], correlation_id="batch-1")
    assert {item.id for item in client.list(correlation_id="batch-1").items} == set(ids)


def test_a_session_says_it_for_all_it_submits(client, database, tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text(f"name: test.one.v1\nsteps: {{a: {{task: {NAME}}}}}\n")
    client.register(file)
    with psycopg.connect(database, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("select set_config('tributary.correlation_id', 'sql-1', true)")
            connection.execute("select set_config('tributary.traceparent', %s, true)", [PARENT])
            made = [
                connection.execute(f"select tributary.{call}::text").fetchone()[0]
                for call in (f"submit_intent('{NAME}')", "submit_workflow('test.one.v1')")
            ]
            into = "tributary.workflow_intent (name, payload)"
            insert = f"insert into {into} values (%s, '{{}}') returning intent_id::text"
            made.append(connection.execute(insert, [NAME]).fetchone()[0])
        # it ended with the transaction
        bare = connection.execute(f"select tributary.submit_intent('{NAME}')::text").fetchone()[0]
        options = '{"correlation_id": "sql-2", "business_id": "b"}'
        named = connection.execute("select id::text from tributary.submit(%s, '{}', %s)", [NAME, options])
        two = named.fetchone()[0]
    for work in made:
        assert ids_of(client.get(work)) == {
            "correlation_id": "sql-1",
            "business_id": None,
            "traceparent": PARENT,
        }
    assert ids_of(client.get(bare)) == dict.fromkeys(IDS)
    assert client.get(two).correlation_id == "sql-2"


def test_a_step_that_submits_hands_its_ids_on(client):
    mark = CURRENT.set(Correlation("req-7", "order-9", PARENT))
    try:
        inherited = client.submit(NAME)
        own = client.submit(NAME, correlation_id="mine")
    finally:
        CURRENT.reset(mark)
    assert ids_of(client.get(inherited.id)) == IDS
    assert ids_of(client.get(own.id)) == {**IDS, "correlation_id": "mine"}


def test_it_leaves_with_its_work(client, hand, tmp_path):
    hand.offer(NAME)
    file = tmp_path / "one.yaml"
    file.write_text(f"name: test.one.v1\nsteps: {{a: {{task: {NAME}}}}}\n")
    intent = client.submit(NAME, **IDS)
    client.submit(file, **IDS)
    for _ in range(2):
        hand.finish(hand.claim(), "completed", result=1)
    assert hand.sql("select count(*) from tributary.correlations") == [(2,)]
    client.prune(0)
    assert hand.sql("select count(*) from tributary.correlations") == [(0,)]
    assert client.list(correlation_id="req-7").items == ()
    assert intent.created


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"correlation_id": ""}, "correlation_id '' is none"),
        ({"business_id": "a\nb"}, "business_id"),
        ({"correlation_id": "x" * 201}, "is none"),
        ({"traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01"}, "no traceparent"),
        ({"traceparent": "nonsense"}, "no traceparent"),
    ],
)
def test_what_is_none_is_refused(client, database, given, said):
    with pytest.raises(InvalidInput, match=said):
        client.submit(NAME, **given)
    (name, value), *_ = given.items()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("select set_config(%s, %s, false)", [f"tributary.{name}", value])
        if value:
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(f"select tributary.submit_intent('{NAME}')")
            assert caught.value.sqlstate == "TR001"
    assert client.list().items == ()


def test_a_trace_that_is_none_is_not_looked_for(client):
    with pytest.raises(InvalidInput, match="no trace id"):
        client.list(trace_id="1234")


def test_what_a_traceparent_is():
    assert is_traceparent(PARENT)
    assert not any(map(is_traceparent, (PARENT.upper(), "ff" + PARENT[2:], PARENT + "-x", None, 7)))
