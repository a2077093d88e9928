"""Options of steps that are expressions, as they run: where values come from, and what none is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text

# --- every option, and where its value comes from ---------------------------------------------------


def test_each_option_takes_an_expression_over_inputs_and_over_a_need(lang):
    run = lang.run(
        """
        inputs: {p: {type: integer}, t: {type: string}}
        steps:
          a: {task: trib.noop.v1, with: {attempts: 5, later: 0}}
          b:
            task: trib.noop.v1
            with: {n: 1}
            priority: ${{ inputs.p }}
            timeout: ${{ inputs.t }}
            max_attempts: ${{ steps.a.result.attempts }}
            run_after: ${{ steps.a.result.later }}s
            queue: ${{ 'default' }}
        """,
        {"p": 7, "t": "1h30m"},
    )
    assert run.state == "completed"
    b = run.steps["b"]
    assert (b.name, b.priority, b.max_attempts, b.queue, b.attempt) == ("trib.noop.v1", 7, 5, "default", 1)
    assert (b.needs, b.result) == (("a",), {"n": 1})
    types = [event.type for event in lang.client.events(run.id).items if event.step == "b"]
    assert types == ["step_decided", "step_started", "step_completed"]


def test_a_whole_number_may_come_as_text_and_a_duration_as_a_number(lang):
    run = lang.run(
        """
        inputs: {p: {type: string}, t: {type: number}}
        steps:
          a:
            task: trib.noop.v1
            priority: ${{ inputs.p }}
            timeout: ${{ inputs.t }}
            max_attempts: ${{ 2 + 2 }}
        """,
        {"p": "-12", "t": 90},
    )
    assert (run.state, run.steps["a"].priority, run.steps["a"].max_attempts) == ("completed", -12, 4)
    options = lang.one("select options from tributary.payloads where run_id = %s and ordinal = 1", run.id)[0]
    assert options["timeout"] == {"value": 90.0, "level": "step"}
    assert options["expressions"]["priority"] == {"text": "${{ inputs.p }}"}


def test_steps_start_in_the_order_of_the_priorities_that_expressions_give(lang, at_rest):
    lang.sql.execute("select tributary.set_queue('one-by-one', concurrency => 1)")
    names = ["order-9", "order-3", "order-1"]
    at_rest()
    run_id = lang.start(
        """
        inputs: {of: {type: object}}
        defaults: {queue: one-by-one}
        steps:
          first: {task: l.gate.v1, with: {name: order-3}, priority: "${{ inputs.of.a }}"}
          second: {task: l.gate.v1, with: {name: order-9}, priority: "${{ inputs.of.b }}"}
          third: {task: l.gate.v1, with: {name: order-1}, priority: "${{ inputs.of.c }}"}
        """,
        {"of": {"a": 3, "b": 9, "c": 1}},
    )
    assert {step: lang.why(run_id, step).code for step in ("first", "third")} == {
        "first": "options", "third": "options",
    }  # fmt: skip
    at_rest.end()
    with lang.serving("one-by-one"):
        for name in names:
            lang.open(name)
        lang.ended(run_id)
    assert [name for what, name in lang.notes() if what == "began" and name in names] == names


def test_a_queue_from_a_result_waits_for_a_worker_that_serves_it(lang):
    run_id = lang.start(
        """
        steps:
          a: {task: trib.noop.v1, with: {where: elsewhere}}
          b: {task: trib.noop.v1, queue: "${{ steps.a.result.where }}-2"}
        """
    )
    lang.wait(lambda: lang.row(run_id, "b")[:3] == ("trib.noop.v1", "elsewhere-2", "available"), 20)
    told = lang.why(run_id, "b")
    assert (told.code, told.message) == ("no_worker", "no live worker serves the queue elsewhere-2")
    with lang.serving("elsewhere-2"):
        run = lang.ended(run_id)
    assert (run.state, run.steps["b"].queue) == ("completed", "elsewhere-2")


def test_run_after_from_a_result_delays_and_counts_from_the_end_of_the_needs(lang):
    run = lang.run(
        """
        steps:
          a: {task: trib.noop.v1, with: {later: 700ms}}
          b: {task: trib.noop.v1, run_after: "${{ steps.a.result.later }}"}
        """
    )
    a, b = run.steps["a"], run.steps["b"]
    assert timedelta(seconds=0.7) <= b.started_at - a.finished_at < timedelta(seconds=5)
    assert abs(b.run_at - a.finished_at - timedelta(seconds=0.7)) < timedelta(seconds=0.1)


def test_run_after_from_an_input_is_a_time_or_counts_from_the_submit(lang):
    text = """
        inputs: {when: {type: string}}
        steps: {a: {task: trib.noop.v1, run_after: "${{ inputs.when }}"}}
        """
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    run_id = lang.start(text, {"when": at.isoformat()})
    lang.until(run_id, "a", "scheduled")
    lang.wait(lambda: lang.row(run_id, "a")[7] == at, 20)
    assert lang.why(run_id, "a").code == "scheduled"
    lang.client.cancel(run_id)
    run_id = lang.start(text, {"when": "2h"}, run_after=timedelta(seconds=1))
    lang.until(run_id, "a", "scheduled")
    lang.wait(lambda: lang.row(run_id, "a")[0] == "trib.noop.v1", 20)
    created = lang.client.get(run_id).created_at
    assert abs(lang.row(run_id, "a")[7] - created - timedelta(hours=2)) < timedelta(seconds=0.5)
    lang.client.cancel(run_id)


def test_a_timeout_from_an_input_ends_the_attempt(lang):
    run = lang.run(
        """
        inputs: {t: {type: string}}
        steps:
          a: {task: trib.sleep.v1, with: {seconds: 60}, timeout: "${{ inputs.t }}", max_attempts: "${{ 1 }}"}
        """,
        {"t": "300ms"},
    )
    assert (run.state, run.steps["a"].error.reason, run.steps["a"].attempt) == ("failed", "timeout", 1)


def test_max_attempts_from_an_input_is_how_often_it_is_tried(lang):
    run = lang.run(
        """
        inputs: {n: {type: integer}}
        steps:
          a: {task: l.flaky.v1, with: {name: never}, max_attempts: "${{ inputs.n }}", retry: {delay: 0}}
        """,
        {"n": 3},
    )
    assert (run.state, run.steps["a"].attempt, run.steps["a"].max_attempts) == ("failed", 3, 3)


# --- values that are none --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("priority", "high", "`priority` must be a whole number, not text"),
        ("priority", 40000, "`priority` is 40000, outside of -32,000 to 32,000"),
        ("max_attempts", 0, "`max_attempts` is 0, outside of 1 to 10,000"),
        ("timeout", "soon", "'soon' is not a duration"),
        ("run_after", "2026-01-01", "is not a time with its zone"),
        ("queue", "a queue", "'a queue' is not a queue name"),
        ("queue", 7, "`queue` must be text, not a number"),
    ],
)
def test_a_wrong_value_fails_the_step_at_once_and_names_option_expression_and_value(
    lang, option, value, words
):
    run = lang.run(
        f"""
        inputs: {{v: {{type: object}}}}
        steps:
          a: {{task: trib.noop.v1, max_attempts: 5, {option}: "${{{{ inputs.v.v }}}}"}}
        """.replace("max_attempts: 5, max_attempts", "max_attempts"),
        {"v": {"v": value}},
    )
    a = run.steps["a"]
    assert (run.state, a.state, a.name, a.error.reason) == (
        "failed",
        "discarded",
        "trib.noop.v1",
        "expression",
    )
    assert a.error.message.startswith(f"`{option}`: ${{{{ inputs.v.v }}}} gives ")
    assert words in a.error.message
    assert [letter.name for letter in lang.client.dead_letters().items if letter.id == run.id] == [
        "trib.noop.v1"
    ]


def test_a_missing_path_fails_the_step_and_a_fallback_never_does(lang):
    run = lang.run(
        """
        steps:
          a: {task: trib.noop.v1, with: {x: 1}}
          b: {task: trib.noop.v1, priority: "${{ steps.a.result.y }}"}
          c: {task: trib.noop.v1, priority: "${{ steps.a.result.y ?? 4 }}"}
          d: {task: trib.noop.v1, needs: b}
        on_failure:
          told: {task: trib.noop.v1}
        """
    )
    assert {step.id: step.state for step in run.steps.values()} == {
        "a": "completed", "b": "discarded", "c": "completed", "d": "skipped", "told": "completed",
    }  # fmt: skip
    assert (
        "`priority`: ${{ steps.a.result.y }}: steps.a.result.y does not exist" in run.steps["b"].error.message
    )
    assert run.steps["c"].priority == 4


def test_a_fault_is_tolerated_and_ends_a_run_that_fails_fast_like_any_other(lang):
    text = """
        FAST
        inputs: {v: {type: object}}
        steps:
          a: {task: trib.noop.v1, priority: "${{ inputs.v.v }}", continue_on_error: TOLERATED}
          b: {task: trib.noop.v1, run_after: 1h, needs: []}
          c: {task: trib.noop.v1, needs: a}
        """
    run = lang.run(
        text.replace("FAST", "").replace("TOLERATED", "true").replace("run_after: 1h, ", ""),
        {"v": {"v": "x"}},
    )
    assert (run.state, run.warnings, run.steps["c"].state) == ("completed", 1, "completed")
    run = lang.run(text.replace("FAST", "fail_fast: true").replace("TOLERATED", "false"), {"v": {"v": "x"}})
    assert (run.state, run.steps["b"].state) == ("failed", "cancelled")


def test_null_is_as_if_the_key_were_not_written(lang):
    text = """
        defaults: {queue: default, max_attempts: 4, priority: 2}
        inputs: {v: {type: object}}
        steps:
          a:
            task: TASK
            with: {name: never, n: 1}
            priority: ${{ inputs.v.p }}
            max_attempts: ${{ inputs.v.m }}
            queue: ${{ inputs.v.q }}
            timeout: ${{ inputs.v.t }}
            run_after: ${{ inputs.v.r }}
        """
    # an object without these fields would be a missing path
    nothing = {"v": dict.fromkeys("pmqtr")}
    a = lang.run(text.replace("TASK", "trib.noop.v1"), nothing).steps["a"]
    assert (a.state, a.priority, a.max_attempts, a.queue) == ("completed", 2, 4, "default")
    a = lang.run(text.replace("TASK", "trib.noop.v1"), nothing, priority=6).steps["a"]
    assert (a.priority, a.max_attempts) == (6, 4)
    # what its handler says is stronger than defaults of the workflow
    a = lang.run(text.replace("TASK", "l.flaky.v1").replace(", n: 1", ""), nothing).steps["a"]
    assert (a.state, a.max_attempts, a.attempt) == ("discarded", 1, 1)


def test_the_steps_own_key_is_stronger_than_what_the_submit_says(lang):
    a = lang.run(
        'steps: {a: {task: trib.noop.v1, priority: "${{ 3 }}", timeout: "${{ null }}"}}',
        priority=9,
        timeout="1m",
    ).steps["a"]
    assert a.priority == 3


def test_secrets_and_unknown_steps_are_refused_before_anything_is_stored():
    for text, code in (
        ("${{ secrets.X }}", "TRB138"),
        ("${{ steps.x.result }}", "TRB104"),
        ("${{ item }}", "TRB138"),
    ):
        with pytest.raises(InvalidWorkflow) as caught:
            load_text(f'secrets: [X]\nsteps: {{a: {{task: t.v1, priority: "{text}"}}}}\n')
        assert [problem.code for problem in caught.value.problems] == [code]


# --- from SQL and by a schedule --------------------------------------------------------------------


def test_what_sql_and_a_schedule_start_is_decided_too(lang):
    path = lang.home / "scheduled.yaml"
    path.write_text(
        "name: o.scheduled.v1\ninputs: {p: {type: integer, default: 4}}\n"
        "steps:\n  a: {task: trib.noop.v1, priority: '${{ inputs.p }}'}\n"
        "  b: {task: trib.noop.v1, priority: '${{ inputs.p + 1 }}', needs: a}\n"
    )
    assert lang.client.register(str(path)).warnings == ()
    submitted = lang.one("select tributary.submit_workflow('o.scheduled.v1', %s)", Jsonb({"p": 11}))[0]
    lang.sql.execute(
        "select tributary.schedule_workflow('options', '0 0 1 1 *', 'o.scheduled.v1', %s)",
        (Jsonb({"p": 21}),),
    )
    fired = lang.one("select tributary.trigger_schedule('options')")[0]
    for run_id, first in ((submitted, 11), (fired, 21)):
        run = lang.ended(str(run_id))
        assert run.state == "completed"
        assert [step.priority for step in run.steps.values()] == [first, first + 1]
