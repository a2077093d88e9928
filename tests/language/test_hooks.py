"""R12 and R15: hooks, the timeout of a run, pause and cancel."""

from __future__ import annotations

import pytest

from tributary_daemon import errors

HOOKS = """
        on_success:
          yes: {task: trib.noop.v1, with: {state: "${{ run.state }}", n: "${{ steps.work.result.n }}"}}
        on_failure:
          no:
            task: trib.noop.v1
            with:
              state: "${{ run.state }}"
              error: "${{ run.error.message }}"
              step: "${{ run.error.step }}"
        on_cancel: {stopped: {task: trib.noop.v1, with: {state: "${{ run.state }}"}}}
        finally:
          last: {task: trib.noop.v1, with: {state: "${{ run.state }}"}}
          really_last: {task: trib.noop.v1, needs: last}
        """


LAST = "last: {task: trib.fail.v1, max_attempts: 1}"


def hooks(run):
    return {step.id: (step.state, step.reason) for step in run.steps.values() if step.hook}


def test_r15_a_run_that_goes_well_calls_on_success_then_finally(lang):
    run = lang.run(
        "steps: {work: {task: trib.noop.v1, with: {n: 5}}}\nresult: {n: '${{ steps.work.result.n }}'}\n"
        + outdent(HOOKS)
    )
    assert (run.state, run.result, run.warnings, run.ending) == ("completed", {"n": 5}, 0, None)
    assert run.steps["yes"].result == {"state": "completed", "n": 5}
    assert hooks(run) == {
        "yes": ("completed", None), "no": ("skipped", "hook"), "stopped": ("skipped", "hook"),
        "last": ("completed", None), "really_last": ("completed", None),
    }  # fmt: skip
    assert run.steps["yes"].hook == "on_success"
    assert run.steps["last"].started_at >= run.steps["yes"].finished_at
    assert run.finished_at >= run.steps["really_last"].finished_at


def test_r15_a_run_that_fails_calls_on_failure_and_a_failing_hook_is_a_warning(lang):
    run = lang.run(
        "steps: {work: {task: trib.fail.v1, with: {message: broken}, max_attempts: 1}}\n"
        + outdent(HOOKS)
        .replace('last: {task: trib.noop.v1, with: {state: "${{ run.state }}"}}', LAST)
        .replace('n: "${{ steps.work.result.n }}"', "n: 1")
    )
    assert (run.state, run.warnings, run.error.step) == ("failed", 1, "work")
    assert run.steps["no"].result == {"state": "failed", "error": "broken", "step": "work"}
    assert hooks(run)["last"] == ("discarded", "exhausted")
    assert hooks(run)["really_last"] == ("skipped", "upstream")
    assert lang.one("select count(*) from tributary.dead_letters where run_id = %s", run.id) == (1,)


def test_r15_while_hooks_run_the_run_is_running_and_says_what_it_has_come_to(lang):
    run = lang.start(
        """
        steps: {work: {task: trib.fail.v1, max_attempts: 1}}
        on_failure: {waits: {task: l.gate.v1, with: {name: hook}}}
        """
    )
    lang.until(run, "waits", "running")
    shown = lang.client.get(run)
    assert (shown.state, shown.ending) == ("running", "failed")
    assert lang.client.why(run).reasons[0].code == "hook"
    lang.open("hook")
    assert lang.ended(run).state == "failed"


def test_r15_a_cancel_starts_on_cancel_and_a_second_one_ends_that_too(lang):
    text = """
        steps: {work: {task: l.gate.v1, with: {name: never}}, behind: {task: trib.noop.v1, needs: work}}
        on_cancel: {tidy: {task: l.gate.v1, with: {name: NAME}}}
        finally: {last: {task: trib.noop.v1, with: {was: "${{ run.state }}"}}}
        """
    once = lang.start(text.replace("NAME", "tidy"))
    lang.until(once, "work", "running")
    assert lang.client.cancel(once, "enough") == "running"
    lang.until(once, "tidy", "running")
    assert lang.states(once)["work"] == "cancelled"
    lang.open("tidy")
    run = lang.ended(once)
    assert (run.state, run.reason) == ("cancelled", "enough")
    assert run.steps["last"].result == {"was": "cancelled"}
    assert run.steps["behind"].state == "cancelled"
    twice = lang.start(text.replace("NAME", "untidy"))
    lang.until(twice, "work", "running")
    lang.client.cancel(twice)
    lang.until(twice, "tidy", "running")
    lang.client.cancel(twice)
    run = lang.ended(twice)
    assert (run.state, run.steps["tidy"].state, run.steps["last"].state) == (
        "cancelled",
        "cancelled",
        "cancelled",
    )


def test_r15_a_retry_runs_the_hooks_again(lang):
    run = lang.run(
        """
        steps: {work: {task: l.flaky.v1, with: {name: hooked}}}
        on_success: {yes: {task: trib.noop.v1}}
        finally: {last: {task: trib.noop.v1}}
        """
    )
    assert (run.steps["yes"].state, run.steps["last"].attempt) == ("skipped", 1)
    lang.mend("hooked")
    lang.client.retry(run.id)
    run = lang.ended(run.id)
    assert (run.state, run.steps["yes"].state, run.steps["last"].attempt) == ("completed", "completed", 2)


def test_r12_the_timeout_of_a_run_cancels_what_runs_and_calls_its_hooks(lang):
    run = lang.run(
        """
        timeout: 500ms
        steps: {work: {task: l.gate.v1, with: {name: never}}, behind: {task: trib.noop.v1, needs: work}}
        on_failure: {told: {task: trib.noop.v1, with: {why: "${{ run.error.type }}"}}}
        """
    )
    assert (run.state, run.reason, run.error.type) == ("failed", "timeout", "RunTimeout")
    assert {run.steps["work"].state, run.steps["behind"].state} == {"cancelled"}
    assert run.steps["told"].result == {"why": "RunTimeout"}


def test_r12_a_run_that_ends_in_time_knows_no_timeout(lang):
    run = lang.run("timeout: 1h\nsteps: {work: {task: trib.noop.v1}}")
    assert (run.state, run.deadline) == ("completed", None)


def test_a_paused_run_starts_nothing_and_goes_on_where_it_was(lang):
    run = lang.start(
        """
        steps:
          work: {task: l.gate.v1, with: {name: pausing}}
          behind: {task: trib.noop.v1, needs: work}
          later: {task: trib.noop.v1, run_after: 1h}
        """
    )
    lang.until(run, "work", "running")
    assert lang.client.pause(run) == "running"
    assert lang.client.get(run).state == "paused"
    with pytest.raises(errors.NotPossible, match="paused already"):
        lang.client.pause(run)
    lang.open("pausing")
    lang.until(run, "behind", "waiting")
    assert lang.client.why(run, "behind").reasons[0].code == "paused"
    assert lang.states(run)["later"] == "waiting"
    lang.client.resume(run)
    lang.until(run, "behind", "completed")
    assert lang.states(run)["later"] == "scheduled"
    with pytest.raises(errors.NotPossible, match="is not paused"):
        lang.client.resume(run)
    lang.client.cancel(run)
    assert lang.ended(run).state == "cancelled"


def test_an_abort_of_the_run_calls_its_hooks(lang):
    run = lang.run(
        """
        steps: {work: {task: l.abort.v1}, beside: {task: l.gate.v1, with: {name: never}}}
        on_failure: {told: {task: trib.noop.v1}}
        """
    )
    assert (run.state, run.reason, run.steps["told"].state) == ("failed", "aborted", "completed")
    assert run.steps["beside"].state in ("cancelled", "skipped")


def outdent(text):
    return "\n".join(line[8:] for line in text.splitlines())
