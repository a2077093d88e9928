"""R6 to R9: when a step runs, when it is skipped, and what that means for its run."""

from __future__ import annotations

import pytest


def reasons(document):
    return {step.id: (step.state, step.reason) for step in document.steps.values()}


def test_r06_a_step_runs_when_its_needs_are_good_and_its_condition_holds(lang):
    run = lang.run(
        """
        inputs: {mode: {type: string}}
        steps:
          first: {task: trib.noop.v1, with: {n: 3}}
          yes: {task: trib.noop.v1, if: steps.first.result.n > 2, with: {it: ran}}
          no: {task: trib.noop.v1, if: "inputs.mode == 'slow' && steps.first.result.n > 2"}
          below: {task: trib.noop.v1, needs: no, with: {after: "a skip"}}
        """,
        {"mode": "fast"},
    )
    assert run.state == "completed"
    assert reasons(run) == {
        "first": ("completed", None), "yes": ("completed", None),
        "no": ("skipped", "condition"), "below": ("completed", None),
    }  # fmt: skip
    assert run.warnings == 0


def test_r06_one_bad_need_skips_whatever_has_no_status_function(lang):
    run = lang.run(
        """
        steps:
          bad: {task: trib.fail.v1, max_attempts: 1}
          good: {task: trib.noop.v1}
          skipped: {task: trib.noop.v1, needs: [bad, good]}
          deeper: {task: trib.noop.v1, needs: skipped, if: "true"}
          on_failure_only: {task: trib.noop.v1, needs: bad, if: failure()}
          below_it: {task: trib.noop.v1, needs: deeper, if: failure(), with: {saw: it}}
          never: {task: trib.noop.v1, needs: good, if: failure()}
          always: {task: trib.noop.v1, needs: skipped, if: always()}
          not_on_success: {task: trib.noop.v1, needs: bad, if: success()}
        """
    )
    assert run.state == "failed"
    assert reasons(run) == {
        "bad": ("discarded", "exhausted"), "good": ("completed", None),
        "skipped": ("skipped", "upstream"), "deeper": ("skipped", "upstream"),
        "on_failure_only": ("completed", None), "below_it": ("completed", None),
        "never": ("skipped", "condition"), "always": ("completed", None),
        "not_on_success": ("skipped", "condition"),
    }  # fmt: skip
    # handled or not, a step that failed fails its run
    assert run.error.step == "bad"


def test_r06_siblings_go_on_unless_the_run_fails_fast(lang):
    text = """
        FAIL_FAST
        steps:
          bad: {task: trib.fail.v1, max_attempts: 1}
          beside: {task: l.gate.v1, with: {name: NAME}}
          behind: {task: trib.noop.v1, needs: beside}
        """
    patient = lang.start(text.replace("FAIL_FAST", "").replace("NAME", "patient"))
    lang.until(patient, "bad", "discarded")
    assert lang.states(patient)["beside"] in ("running", "available")
    lang.open("patient")
    assert lang.ended(patient).steps["behind"].state == "completed"
    hasty = lang.run(text.replace("FAIL_FAST", "fail_fast: true").replace("NAME", "hasty"))
    assert hasty.state == "failed"
    assert reasons(hasty)["beside"] == ("cancelled", "fail_fast")
    assert reasons(hasty)["behind"] == ("cancelled", "fail_fast")


def test_r07_only_the_attempt_that_succeeded_publishes_and_a_skipped_step_has_none(lang):
    run = lang.run(
        """
        steps:
          second_try: {task: trib.fail.v1, with: {times: 1}, retry: {delay: 0}}
          skipped: {task: trib.noop.v1, if: "false", with: {n: 1}}
          tolerated: {task: trib.fail.v1, max_attempts: 1, continue_on_error: true}
          reads:
            task: trib.noop.v1
            with:
              attempt: ${{ steps.second_try.attempt }}
              result: ${{ steps.second_try.result }}
              states: ${{ format('{0} {1}', steps.skipped.state, steps.tolerated.state) }}
              nothing: ${{ steps.skipped.result ?? steps.tolerated.result ?? 'nothing' }}
        """
    )
    assert run.steps["reads"].result == {
        "attempt": 2, "result": {"attempt": 2}, "states": "skipped discarded", "nothing": "nothing",
    }  # fmt: skip


def test_r08_the_condition_of_a_skip_is_stored_and_shown_clause_by_clause(lang):
    run = lang.run(
        """
        inputs: {day: {type: string}}
        steps:
          first: {task: trib.noop.v1, with: {rows: 3}}
          skipped:
            task: trib.noop.v1
            if: steps.first.result.rows > 2 && inputs.day == 'monday'
        """,
        {"day": "friday"},
    )
    trace = run.steps["skipped"].condition
    assert trace["source"] == "steps.first.result.rows > 2 && inputs.day == 'monday'"
    assert [(clause["text"], clause.get("holds")) for clause in trace["clauses"][1:]] == [
        ("steps.first.result.rows > 2", True),
        ("inputs.day == 'monday'", False),
    ]
    (reason,) = [r for r in lang.client.why(run.id, "skipped").reasons if r.step == "skipped"]
    assert reason.code == "condition"
    assert "inputs.day == 'monday'" in reason.message
    assert "friday" in reason.message


def test_r09_a_run_with_a_tolerated_failure_is_completed_with_warnings(lang):
    run = lang.run(
        """
        steps:
          tolerated: {task: trib.fail.v1, max_attempts: 1, continue_on_error: true}
          below: {task: trib.noop.v1, needs: tolerated}
          handles: {task: trib.noop.v1, needs: tolerated, if: failure()}
        """
    )
    assert (run.state, run.warnings) == ("completed", 1)
    assert run.steps["below"].state == "completed"
    assert reasons(run)["handles"] == ("skipped", "condition"), "what is tolerated is no failure"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("${{ steps.first.result.missing }}", "steps.first.result.missing"),
        ("a ${{ steps.first.result.missing }}", "steps.first.result.missing"),
    ],
)
def test_r10_a_path_that_a_result_lacks_fails_the_step_and_is_named(lang, value, named):
    run = lang.run(
        f"""
        steps:
          first: {{task: trib.noop.v1, with: {{n: 1}}}}
          reads: {{task: trib.noop.v1, with: {{v: "{value}"}}}}
          asks: {{task: trib.noop.v1, if: steps.first.result.missing == null, with: {{v: 1}}}}
          defaults: {{task: trib.noop.v1, with: {{v: "${{{{ steps.first.result.missing ?? 7 }}}}"}}}}
        """
    )
    error = run.steps["reads"].error
    assert (run.steps["reads"].state, error.reason, error.attempt) == ("discarded", "expression", 1)
    assert named in error.message
    assert run.steps["asks"].state == "completed"
    assert run.steps["defaults"].result == {"v": 7}


def test_r10_it_is_named_wherever_a_step_reads_it(lang):
    run = lang.run(
        """
        steps:
          first: {task: trib.noop.v1, with: {n: 1}}
          own: {run: "true", env: {X: "${{ steps.first.result.gone }}"}}
          each: {for_each: "${{ steps.first.result.gone }}", task: trib.noop.v1}
          axis: {matrix: {x: "${{ steps.first.result.gone }}"}, task: trib.noop.v1}
          keyed: {for_each: [1], key: "${{ steps.first.result.gone }}", task: trib.noop.v1}
          group: {task: trib.noop.v1, concurrency: {group: "g-${{ steps.first.result.gone }}"}}
        """
    )
    for step in ("own", "each", "axis", "keyed", "group"):
        error = run.steps[step].error
        assert error is not None, step
        assert (run.steps[step].state, error.attempt) == ("discarded", 1), step
        assert "steps.first.result.gone does not exist" in error.message, step


@pytest.mark.parametrize("hooks", ["", 'on_failure: {told: {task: trib.noop.v1, if: "run.error.message"}}'])
def test_r10_a_result_that_lacks_its_path_fails_the_run(lang, hooks):
    run = lang.run(
        f"""
        steps: {{first: {{task: trib.noop.v1, with: {{n: 1}}}}}}
        result: {{n: "${{{{ steps.first.result.gone }}}}"}}
        {hooks}
        """
    )
    assert (run.state, run.reason, run.result) == ("failed", "result", None)
    assert "steps.first.result.gone does not exist" in run.error.message
    assert {step.id: step.state for step in run.steps.values() if step.hook} == (
        {"told": "completed"} if hooks else {}
    )


def test_a_condition_that_cannot_be_evaluated_fails_its_step_by_name(lang):
    run = lang.run(
        """
        steps:
          first: {task: trib.noop.v1, with: {text: "{no json"}}
          asks: {task: trib.noop.v1, if: fromJSON(steps.first.result.text).a}
        """
    )
    error = run.steps["asks"].error
    assert (run.steps["asks"].state, error.reason) == ("discarded", "expression")
    assert "fromJSON" in error.message


def test_a_shell_step_is_skipped_before_its_script_runs(lang):
    run = lang.run(
        """
        env: {COMMON: "of all ${{ inputs.who }}"}
        inputs: {who: {type: string, default: x}}
        steps:
          no: {run: "touch was-here", if: "false"}
          yes:
            run: echo "it=$COMMON $OWN" >> "$TRIB_OUTPUT"
            env: {OWN: "${{ inputs.who }}!"}
            if: inputs.who == 'x'
        """
    )
    assert run.steps["no"].state == "skipped"
    assert run.steps["yes"].result == {"it": "of all x x!"}
