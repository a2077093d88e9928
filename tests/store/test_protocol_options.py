"""Option levels: step > submit > handler > defaults > config > built-in, and what waits for its handler."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.store import protocol_kit as kit

LEVELS = ("step", "submit", "handler", "defaults", "config")
OPTIONS = ("queue", "priority", "max_attempts", "timeout", "retry")
BUILTIN = {"queue": "default", "priority": 0, "max_attempts": 3, "timeout": None, "retry": None}
PAIRS = list(itertools.combinations((*LEVELS, "builtin"), 2))


def value(option, level):
    place = LEVELS.index(level) + 1
    return {
        "queue": level,
        "priority": place,
        "max_attempts": 10 + place,
        "timeout": 100.0 + place,
        "retry": {"backoff": "fixed", "delay": float(place)},
    }[option]


def effective(connection, run):
    """Return the options that a step of the run really has, each with its level."""
    queue, priority, attempts, options = connection.execute(
        """select s.queue, s.priority, s.max_attempts, p.options from tributary.steps s
           left join tributary.payloads p using (shard, run_id, ordinal)
           where s.run_id = %s and s.kind in ('step', 'intent')""",
        (run,),
    ).fetchone()
    stored = options or {}
    columns = {"queue": queue, "priority": priority, "max_attempts": attempts}
    return {
        option: (
            columns.get(option, stored.get(option, {}).get("value")),
            stored.get(option, {}).get("level", "builtin"),
        )
        for option in OPTIONS
    }


def submit(connection, given, *, after=False):
    """Submit a one-step run with {level: options}; ``after``: the handler is offered later."""
    if not after:
        kit.offer(connection, **given.get("handler", {}))
    spec = kit.workflow("w.v1", {"a": {"options": given.get("step", {})}}, defaults=given.get("defaults", {}))
    run = kit.start(connection, spec, submit=given.get("submit"), config=given.get("config"))
    if after:
        assert kit.states(connection, run) == {"a": "waiting"}
        assert kit.offer(connection, **given.get("handler", {})) == [kit.NAME]
    return run


@pytest.mark.parametrize("after", [False, True], ids=["known", "registered-later"])
@pytest.mark.parametrize(("strong", "weak"), PAIRS, ids=lambda level: level)
def test_the_stronger_of_two_levels_wins_in_every_option(connection, strong, weak, after):
    given = {
        level: {option: value(option, level) for option in OPTIONS}
        for level in (strong, weak)
        if level != "builtin"
    }
    run = submit(connection, given, after=after)
    assert effective(connection, run) == {option: (value(option, strong), strong) for option in OPTIONS}
    assert kit.states(connection, run) == {"a": "available"}


@pytest.mark.parametrize("after", [False, True], ids=["known", "registered-later"])
def test_each_option_finds_its_level_by_itself(connection, after):
    given = {level: {option: value(option, level)} for level, option in zip(LEVELS, OPTIONS, strict=True)}
    given["config"]["queue"] = "config"
    given["defaults"]["priority"] = value("priority", "defaults")
    run = submit(connection, given, after=after)
    assert effective(connection, run) == {
        option: (value(option, level), level) for level, option in zip(LEVELS, OPTIONS, strict=True)
    }


@pytest.mark.parametrize("after", [False, True], ids=["known", "registered-later"])
def test_without_any_level_the_built_in_holds(connection, after):
    run = submit(connection, {}, after=after)
    assert effective(connection, run) == {option: (BUILTIN[option], "builtin") for option in OPTIONS}


def test_shell_steps_run_once_by_default(connection):
    run = kit.start(connection, kit.workflow("w.v1", {"a": {"name": "trib.shell.v1"}}))
    assert kit.row(connection, run, "a")["max_attempts"] == 1


@pytest.mark.parametrize("level", ["submit", "handler", "config"])
@pytest.mark.parametrize("after", [False, True], ids=["known", "registered-later"])
def test_intents_take_the_levels_they_have(connection, level, after):
    options = {option: value(option, level) for option in OPTIONS}
    handler = options if level == "handler" else {}
    if not after:
        kit.offer(connection, **handler)
    intent, created, state, _, known = connection.execute(
        "select * from tributary.submit_row(%s, '{}', null, %s::jsonb, %s::jsonb, null, '', null, null)",
        (
            kit.NAME,
            json.dumps(options) if level == "submit" else None,
            json.dumps(options) if level == "config" else None,
        ),
    ).fetchone()
    assert (created, state, known) == (True, "waiting" if after else "available", not after)
    if after:
        kit.offer(connection, **handler)
    assert effective(connection, intent) == {option: (options[option], level) for option in OPTIONS}


@pytest.mark.parametrize("level", ["submit", "handler", "config"])
def test_prepare_many_resolves_the_same(connection, level):
    options = {option: value(option, level) for option in OPTIONS}
    kit.offer(connection, **(options if level == "handler" else {}))
    prepared = connection.execute(
        """select queue, priority, max_attempts, options, state::text, reason
           from tributary.prepare_many(%s, %s::jsonb, %s::jsonb, null, '')""",
        (
            kit.NAME,
            json.dumps(options) if level == "submit" else None,
            json.dumps(options) if level == "config" else None,
        ),
    ).fetchone()
    assert prepared == (
        options["queue"],
        options["priority"],
        options["max_attempts"],
        {option: {"value": options[option], "level": level} for option in OPTIONS},
        "available",
        None,
    )


def test_what_runs_privately_stays_on_its_queue(connection):
    spec = kit.workflow("w.v1", {"a": {"options": {"queue": "own"}}}, result=1)
    run = kit.start(connection, spec, private="@run-1")
    kit.offer(connection, queue="handler")
    queues = connection.execute(
        "select distinct queue from tributary.steps where run_id = %s", (run,)
    ).fetchall()
    assert queues == [("@run-1",)]


def test_blocked_and_late_work_waits_for_its_name_too(connection):
    spec = kit.workflow(
        "w.v1",
        {
            "a": {"name": "t.known.v1"},
            "b": {"needs": ("a",)},
            "c": {"needs": ("a",), "run_after": 3600.0},
            "d": {"run_after": 3600.0},
        },
    )
    kit.offer(connection, "t.known.v1")
    run = kit.start(connection, spec)
    process = kit.Process(connection, names=("t.known.v1", kit.NAME))
    assert kit.states(connection, run) == {"a": "available", "b": "blocked", "c": "blocked", "d": "waiting"}
    process.finish(process.claim())
    assert kit.states(connection, run) == {"a": "completed", "b": "waiting", "c": "waiting", "d": "waiting"}
    assert process.claim() == []
    kit.check_invariants(connection)
    assert kit.offer(connection) == [kit.NAME]
    assert kit.states(connection, run) == {
        "a": "completed",
        "b": "available",
        "c": "scheduled",
        "d": "scheduled",
    }
    kit.check_invariants(connection)


def test_a_process_of_any_language_releases_all_that_waits_for_it(connection):
    connection.execute("select tributary.submit_intent('t.psql.v1') from generate_series(1, 2500)")
    assert kit.scalar(connection, "select count(*) from tributary.steps where reason = 'no_handler'") == 2500
    member = kit.scalar(connection, "select tributary.register_process('psql', names => '{t.psql.v1}')")
    assert kit.scalar(connection, "select count(*) from tributary.steps where state = 'available'") == 2500
    claim = "select count(*) from tributary.claim(%s, '{default}', '{t.psql.v1}', %s)"
    assert kit.scalar(connection, claim, member, 2000) == 1000
    assert kit.scalar(connection, claim, member, None) == 1
    assert kit.scalar(connection, claim, member, 0) == 0


def test_an_intent_submitted_while_its_name_is_first_offered_does_not_wait_for_ever(database, connection):
    with kit.connections(database, 1) as (other,):
        with other.transaction():
            intent = kit.intent(other, "t.psql.v1")
            member = kit.scalar(
                connection, "select tributary.register_process('psql', names => '{t.psql.v1}')"
            )
        claim = "select run_id::text from tributary.claim(%s, '{default}', '{t.psql.v1}')"
        assert connection.execute(claim, (member,)).fetchall() == []
        assert connection.execute(claim, (member,)).fetchall() == [(intent,)]


def test_offering_the_same_names_in_other_orders_at_once(database, connection):
    names = [f"t.n{number}.v1" for number in range(60)]
    with kit.connections(database, 8) as opened:
        kit.together(*(
            lambda c=c, order=names[:: 1 if i % 2 else -1]: c.execute(
                "select tributary.register_process('p', names => %s)", (order,)
            )
            for i, c in enumerate(opened)
        ))  # fmt: skip
    assert kit.scalar(connection, "select count(*) from tributary.registry") == 60


def test_workers_leave_to_operators_what_is_theirs(connection):
    kit.offer(connection, queue="one")
    connection.execute("update tributary.workflow_registry set is_enabled = false, runtime = 'go'")
    assert kit.offer(connection, queue="two") == []
    assert connection.execute(
        "select is_enabled, runtime, options from tributary.workflow_registry"
    ).fetchall() == [(False, "go", {"queue": "two"})]
