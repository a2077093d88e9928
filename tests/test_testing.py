"""`tributary_daemon.testing`: whole workflows inline, with a clock that jumps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import conninfo

from tributary_daemon import Abort, Retry, Snooze, Step, Workflow, handler, testing
from tributary_daemon.errors import DatabaseError, NotFound, NotPossible
from tributary_daemon.handlers.registry import REGISTRY


@pytest.fixture
def bench(server):
    with testing.Bench(url=server) as made:
        yield made


@pytest.fixture(autouse=True)
def handlers():
    before = set(REGISTRY.names())

    @handler("bench.double.v1")
    def double(n: int) -> dict:
        return {"n": n * 2}

    @handler("bench.flaky.v1", max_attempts=5, retry=Retry(delay="1h", backoff="fixed", jitter=0))
    async def flaky(step: Step) -> int:
        step.heartbeat({"attempt": step.attempt})
        if step.attempt < 4:
            raise RuntimeError("not yet")
        return step.progress["attempt"]

    yield
    for name in set(REGISTRY.names()) - before:
        REGISTRY.remove(name)


def test_results_flow_through_a_file(bench, tmp_path):
    path = tmp_path / "doubles.yaml"
    path.write_text(
        """
name: bench.doubles.v1
inputs: {n: {type: integer}}
steps:
  one: {task: bench.double.v1, with: {n: "${{ inputs.n }}"}}
  two: {task: bench.double.v1, with: {n: "${{ steps.one.result.n }}"}}
  shell: {run: 'echo "pid=$TRIB_RUN_ID" >> "$TRIB_OUTPUT"', needs: two}
result: {end: "${{ steps.two.result.n }}"}
"""
    )
    document = bench.run(path, {"n": 3})
    assert (document.state, document.result) == ("completed", {"end": 12})
    assert document.steps["shell"].result == {"pid": document.id}
    assert document.created_at == testing.START


def test_options_that_are_expressions_are_decided(bench):
    inputs = {"wait": {"type": "string"}, "p": {"type": "integer"}}
    flow = (
        Workflow("bench.late.v1", inputs=inputs)
        .add("one", "bench.double.v1", {"n": 2}, priority="${{ inputs.p }}")
        .add(
            "two",
            "bench.double.v1",
            {"n": 3},
            run_after="${{ inputs.wait }}",
            max_attempts="${{ steps.one.result.n }}",
        )
    )
    document = bench.run(flow, {"wait": "3h", "p": 6})
    one, two = document.steps["one"], document.steps["two"]
    assert (document.state, one.priority, two.max_attempts, two.needs) == ("completed", 6, 4, ("one",))
    assert two.started_at - one.finished_at == timedelta(hours=3)


def test_hours_of_back_off_take_no_time(bench):
    document = bench.run("bench.flaky.v1")
    assert (document.state, document.attempt, document.result) == ("completed", 4, 3)
    assert bench.now - testing.START == timedelta(hours=3)
    assert [attempt.outcome for attempt in document.attempts] == ["retry", "retry", "retry", "completed"]
    assert document.finished_at == bench.now


def test_the_clock_moves_by_hand_too(bench):
    receipt = bench.submit("bench.double.v1", {"n": 1}, run_after="10m")
    assert bench.work() == 0
    bench.advance("9m")
    assert bench.work() == 0
    bench.advance(60)
    assert bench.work() == 1
    assert receipt.refresh().result == {"n": 2}


def test_snooze_and_abort(bench):
    calls = []

    @handler("bench.patient.v1")
    def patient() -> None:
        calls.append(bench.now)
        if len(calls) < 3:
            raise Snooze("1d")
        raise Abort("enough")

    with testing.Bench(url=bench._server) as own:
        document = own.run("bench.patient.v1")
        assert (document.state, document.attempt, document.error.reason) == ("discarded", 1, "aborted")
        assert own.now - testing.START == timedelta(days=2)


def test_effects_in_the_steps_own_transaction(bench):
    @handler("bench.effect.v1", max_attempts=2, retry=Retry(delay=1))
    def effect(step: Step) -> int:
        with step.connection() as connection:
            connection.execute("insert into public.effects values (1)")
        if step.attempt == 1:
            raise RuntimeError("rolled back")
        return 1

    with testing.Bench(url=bench._server) as own:
        own._connection.execute("create table public.effects (n int)")
        document = own.run("bench.effect.v1")
        assert (document.state, document.error) == ("completed", None)
        assert own._connection.execute("select count(*) from public.effects").fetchone() == (1,)


def test_a_workflow_of_python(bench):
    workflow = (
        Workflow("bench.built.v1")
        .add("a", "bench.double.v1", {"n": 1})
        .add("b", "bench.double.v1", {"n": "${{ steps.a.result.n }}"})
    )
    assert bench.run(workflow).result == {"b": {"n": 4}}


def test_what_waits_for_ever_is_said(bench):
    with pytest.raises(NotPossible, match=r"no worker has ever offered the handler bench\.nobody\.v1"):
        bench.run("bench.nobody.v1")


def test_only_the_named_handlers_take_part(server):
    document = testing.run_workflow("bench.double.v1", {"n": 2}, handlers=["bench.double.v1"], url=server)
    assert document.result == {"n": 4}
    with pytest.raises(NotPossible, match="ever offered"):
        testing.run_workflow("bench.flaky.v1", handlers=["bench.double.v1"], url=server)
    with pytest.raises(NotFound, match="no handler is named"):
        testing.run_workflow("bench.double.v1", handlers=["bench.duoble.v1"], url=server)
    with pytest.raises(NotFound, match="is not a handler"):
        testing.run_workflow("bench.double.v1", handlers=[len], url=server)


def test_schedules_fire_while_the_clock_moves(bench):
    spec = Workflow("bench.nightly.v1", result="${{ run.scheduled_for }}").add(
        "a", "bench.double.v1", {"n": 1}
    )
    bench.register(
        replace(spec.spec(), schedule=({"cron": "30 2 * * *", "timezone": "Europe/Berlin"},), source="")
    )
    added = bench.schedule("often", "0 */6 * * *", "bench.double.v1", {"n": 2}, overlap="allow")
    assert added.next[0] == testing.START + timedelta(hours=6)
    bench.advance("3d")
    bench.work()
    runs = [item for item in bench.client.list().items if item.kind == "run"]
    # the first is not finished before the clock has moved on: the others are left out
    assert [bench.client.get(run.id).result for run in runs] == ["2030-01-01T01:30:00+00:00"]
    often = bench.client.get_schedule("often")
    assert (often.fired, often.missed) == (12, 0)
    bench.advance("1d")
    bench.work()
    fires = bench.client.get_schedule("bench.nightly.v1").fires
    assert [fire.outcome for fire in fires] == ["fired", "skipped", "skipped", "fired"]


def test_a_user_who_may_not_create_databases_is_told(server):
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("create role bench_poor login")
    try:
        with (
            pytest.raises(DatabaseError, match="may not create databases"),
            testing.Bench(url=conninfo.make_conninfo(server, options="-c role=bench_poor")),
        ):
            pass
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("drop role bench_poor")


WAITS = """
name: bench.waits.v1
steps:
  rest: {wait: {for: 3d}}
  packed: {needs: rest, wait: {signal: packed, timeout: 2h}}
  review: {needs: packed, approve: {prompt: Sure?, form: {note: {type: string}}}}
  one: {needs: review, task: bench.double.v1, with: {n: "${{ steps.packed.result.boxes }}"}}
"""


@pytest.fixture
def waits(tmp_path):
    path = tmp_path / "waits.yaml"
    path.write_text(WAITS)
    return path


def test_the_clock_jumps_to_times_and_tests_send_what_people_would(bench, waits):
    run = bench.submit(waits).id
    assert bench.signal(run, "packed", {"boxes": 4}) == 1
    with pytest.raises(NotPossible, match=r"no passing of time helps: .*asks for an answer: Sure"):
        bench.finish(run)
    assert bench.now == testing.START + timedelta(days=3)
    assert bench.approve(run, "review", {"note": "fine"}) == "completed"
    document = bench.finish(run)
    assert (document.state, document.steps["one"].result) == ("completed", {"n": 8})
    assert document.finished_at == bench.now, "signals and answers come at the time that the clock shows"


def test_what_does_not_come_in_time_or_is_rejected(bench, waits):
    late = bench.run(waits)
    assert (late.state, late.steps["packed"].reason) == ("failed", "timeout")
    assert bench.now == testing.START + timedelta(days=3, hours=2)
    run = bench.submit(waits).id
    bench.signal(run, "packed", {"boxes": 1})
    with pytest.raises(NotPossible):
        bench.finish(run)
    assert bench.reject(run, "review", "no") == "discarded"
    assert bench.finish(run).steps["review"].error.reason == "rejected"
