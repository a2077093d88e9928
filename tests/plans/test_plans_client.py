# ruff: noqa: E501 - statements of SQL
"""Plans of what clients send: submits, and what is read; 50 ms are some 5,000 pages in memory."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.plans.filling import FAN, LATE, NAME
from tests.store import protocol_kit as kit
from tributary_daemon.model.states import RunState, StepState
from tributary_daemon.store import (
    correlations,
    dead_letters,
    events,
    facts,
    fleet,
    intents,
    lists,
    runs,
    submit,
)
from tributary_daemon.store.correlations import Sought
from tributary_daemon.store.db import query
from tributary_daemon.store.lists import Filter

QUICK = 5_000
IDS = {
    "ready": "select run_id from tributary.steps where kind = 'intent' and state = 'available' order by run_id limit 1",
    "finished": "select run_id from tributary.steps where kind = 'intent' and state = 'completed' order by run_id limit 1",
    "discarded": "select run_id from tributary.dead_letters order by run_id limit 1",
    "finished run": "select run_id from tributary.runs where state = 'completed' order by run_id limit 1",
    "live run": "select run_id from tributary.runs where name = 'w.live.v1' limit 1",
    "fan": "select run_id from tributary.runs where name = 'w.fan.v1' limit 1",
}


def an_id(look, what):
    return str(kit.scalar(look.connection, IDS[what]))


def revision(plan):
    return submit.Revision("w.new.v1", plan.revision_hash(), "", json.dumps(plan.plan()))


def test_submitting_an_intent(look):
    assert look.pages_of(submit.intent(NAME, '{"n": 1}', submit.Terms())) < 400
    assert look.pages_of(submit.intent(NAME, '{"n": 1}', submit.Terms(key="k"))) < 400
    assert look.pages("select tributary.submit_intent(%s, '{}')", NAME) < 400


def test_submitting_a_run(look):
    spec = kit.workflow("w.new.v1", {f"s{k}": (f"s{k - 1}",) if k else () for k in range(10)})
    assert look.pages_of(submit.run_of_spec(revision(spec), "{}", None, submit.Terms())) < 1_000


def test_preparing_a_batch(look):
    assert look.pages_of(submit.prepare(NAME, submit.Terms())) < 120


@pytest.mark.parametrize("what", ["ready", "finished", "discarded"])
def test_status_of_an_intent(look, what):
    known = an_id(look, what)
    assert look.pages_of(runs.state(known)) < 50
    assert look.pages_of(intents.intent(known)) < 50
    assert look.pages_of(intents.attempts(known, 0)) < 50
    assert look.pages_of(facts.facts(known, None)) < 100


@pytest.mark.parametrize("what", ["finished run", "live run"])
def test_status_of_a_run(look, what):
    known = an_id(look, what)
    for operation in (runs.state, runs.run, runs.edges, runs.steps, runs.plan, runs.payloads):
        assert look.pages_of(operation(known)) < 150, operation


def test_status_of_a_wide_run(look):
    known = an_id(look, "fan")
    assert FAN == 1_000
    for operation in (runs.run, runs.steps, runs.edges):
        assert look.pages_of(operation(known)) < 8 * FAN, operation


STATES = tuple(dict.fromkeys([*map(str, RunState), *map(str, StepState)]))
DERIVED = ("scheduled", "available", "running", "waiting")
LISTED = {
    "all": Filter(),
    "runs": Filter(kind="run"),
    "intents": Filter(kind="intent"),
    "a name of many": Filter(name=NAME),
    "a name of no intent that is ready": Filter(name=LATE, state="available"),
    "a tenant": Filter(tenant="t1"),
    "everybody": Filter(tenant=""),
    "an hour": Filter(age=3600.0),
    "a failure of the hour": Filter(age=3600.0, state="failed"),
    "a label": Filter(labels={"n": "7"}),
    "a label of many": Filter(labels={"team": "a"}),
    "a label and a state": Filter(labels={"team": "b"}, state="failed"),
    "running intents": Filter(state="running", kind="intent"),
    **{state: Filter(state=state) for state in STATES if state not in DERIVED},
    **{f"{state} runs": Filter(state=state, kind="run") for state in STATES if state not in DERIVED},
    **{f"{state} intents": Filter(state=state, kind="intent") for state in STATES if state not in DERIVED},
}
# what ends with a full window, looks at 4,000 that are ready, or asks 1,000 runs for their state: 20 ms,
# the same pages again and again
SEARCHED = {
    "available intents": Filter(state="available", kind="intent"),
    "a name of runs": Filter(name="w.done.v1"),
    "a name of one run": Filter(name="w.fan.v1"),
    "a name of none": Filter(name="t.nothing.v1"),
    "a tenant of none": Filter(tenant="nobody"),
    "a label of none": Filter(labels={"team": "b"}),
    **{state: Filter(state=state) for state in DERIVED},
    **{f"{state} runs": Filter(state=state, kind="run") for state in DERIVED},
}
BOUNDS = {**dict.fromkeys(LISTED, QUICK), **dict.fromkeys(SEARCHED, 2 * QUICK)}


@pytest.mark.parametrize("what", BOUNDS)
def test_a_page_of_a_list_and_the_next(look, what):
    wanted = {**LISTED, **SEARCHED}[what]
    assert look.pages_of(lists.page(wanted)) < BOUNDS[what]
    after = kit.answer(look.connection, lists.page(wanted))[1]
    if after is not None:
        assert look.pages_of(lists.page(replace(wanted, after=after))) < BOUNDS[what]


FULL = {
    "failed": (Filter(state="failed"), 50),
    "discarded": (Filter(state="discarded"), 50),
    "running": (Filter(state="running"), 50),
    "runs at work": (Filter(state="available", kind="run"), 50),
    "scheduled": (Filter(state="scheduled"), 50),
    "waiting": (Filter(state="waiting"), 50),
    "paused": (Filter(state="paused"), 0),
    "cancelled": (Filter(state="cancelled"), 0),
}


@pytest.mark.parametrize("what", FULL)
def test_a_rare_state_fills_its_page_at_once(look, what):
    wanted, count = FULL[what]
    rows, after = kit.answer(look.connection, lists.page(wanted))
    assert (len(rows), after is None) == (count, count == 0)


def test_a_page_further_on(look):
    for what in ("ready", "finished", "finished run"):
        assert look.pages_of(lists.page(Filter(after=an_id(look, what)))) < QUICK


def test_finding_the_newest(look):
    assert look.pages_of(lists.latest()) < 150


def test_finding_a_part_of_an_id(look):
    # 100,000 rows of each kind, as they lie
    for part in ("abcdef12", an_id(look, "ready")[-8:]):
        assert look.pages_of(lists.matching(part, 11)) < 3 * QUICK


@pytest.mark.parametrize("what", ["finished", "discarded", "finished run", "live run"])
def test_events_of_one(look, what):
    assert look.pages_of(events.page(events.Wanted(an_id(look, what)), None, 50)) < 300


def test_events_of_all_from_a_moment_on(look):
    # as autovacuum leaves them
    for index in ("steps_finished", "event_log_by_time", "attempts_by_time"):
        look.connection.execute("select brin_summarize_new_values(%s::regclass)", (f"tributary.{index}",))
    now = kit.scalar(look.connection, "select tributary.clock()")
    known = kit.scalar(look.connection, "select exists (select from pg_stats where tablename = 'steps')")
    # nobody works by it: until autoanalyze has looked it may read the table
    assert look.pages_of(events.page(events.Wanted(), None, 10_000, now)) < (QUICK if known else 20 * QUICK)
    # what is left out is not looked for
    few = events.Wanted(types=["run_cancelled"])
    assert look.pages_of(events.page(few, None, 10_000, now)) < 100


def test_work_found_by_its_ids(look):
    look.connection.execute(
        "insert into tributary.correlations (run_id, shard, correlation_id, business_id, traceparent)"
        " select s.run_id, s.shard, 'c' || row_number() over () / 10, 'all', '00-' || md5(s.run_id::text) || '-b7ad6b7169203331-01'"
        " from (select k.run_id, k.shard from tributary.steps k where k.kind = 'intent' limit 50000) as s"
    )
    for sought in (Sought("c7"), Sought(None, "all"), Sought("c7", "all"), Sought(None, None, "0" * 32)):
        assert look.pages_of(correlations.ids(sought, None, None, 50)) < 200, sought
    found = [
        str(row[0]) for row in look.connection.execute("select run_id from tributary.correlations limit 50")
    ]
    wanted = {**lists._filters(Filter()), "ids": found}
    assert look.pages(query("list_these"), wanted) < 50 * 40


def test_dead_letters(look):
    # of the 50 each step is asked once for the key of an item
    assert look.pages_of(dead_letters.page(50, None, None)) < 300
    assert look.pages_of(dead_letters.of(an_id(look, "discarded"), None)) < 50


def test_workers(look):
    # 2,000 running rows are looked at
    assert look.pages_of(fleet.workers()) < QUICK
