"""R12 and R15: hooks, the timeout of a run, pause and cancel."""

from __future__ import annotations

from datetime import timedelta

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


@pytest.mark.parametrize(
    ("work", "holds"),
    [
        ("{task: trib.noop.v1}", {"good"}),
        ("{task: trib.fail.v1, max_attempts: 1}", {"good", "failed"}),
        ("{task: l.gate.v1, with: {name: never}}", {"good", "cancelled"}),
    ],
)
def test_r06_status_functions_of_a_hook_ask_what_the_run_has_come_to(lang, work, holds):
    run = lang.start(
        f"""
        steps: {{work: {work}}}
        finally:
          good: {{task: trib.noop.v1, if: success()}}
          failed: {{task: trib.noop.v1, if: failure()}}
          cancelled: {{task: trib.noop.v1, if: cancelled()}}
        """
    )
    if "cancelled" in holds:
        lang.until(run, "work", "running")
        lang.client.cancel(run)
    ended = hooks(lang.ended(run))
    assert {step for step, shown in ended.items() if shown == ("completed", None)} == holds
    assert {shown for step, shown in ended.items() if step not in holds} == {("skipped", "condition")}


def test_r06_hooks_run_to_their_end_where_the_run_fails_fast(lang):
    run = lang.run(
        """
        fail_fast: true
        steps: {bad: {task: trib.fail.v1, max_attempts: 1}, beside: {task: l.gate.v1, with: {name: never}}}
        on_failure: {one: {task: trib.noop.v1}, two: {task: trib.noop.v1, needs: one}}
        finally: {three: {task: trib.noop.v1}, four: {task: trib.noop.v1, needs: three}}
        """
    )
    assert run.steps["beside"].reason == "fail_fast"
    assert set(hooks(run).values()) == {("completed", None)}


def test_r15_a_hook_that_is_to_wait_does_so_from_when_it_may_begin(lang):
    run = lang.start(
        "steps: {work: {task: trib.noop.v1}}\nfinally: {late: {task: trib.noop.v1, run_after: 1h}}"
    )
    lang.until(run, "late", "scheduled")
    lang.client.cancel(run)
    assert lang.ended(run).steps["late"].state == "cancelled"


def test_r15_hooks_fan_out_and_a_retry_makes_their_items_anew(lang):
    run = lang.run(
        """
        steps: {work: {task: l.flaky.v1, with: {name: hooks_of_items}}}
        finally:
          each:
            for_each: [1, 2]
            max_parallel: 1
            task: trib.noop.v1
            with: {n: "${{ item }}-${{ run.state }}"}
          reads: {task: trib.noop.v1, with: {all: "${{ steps.each.items.*.result.n }}"}}
        """
    )
    assert run.steps["reads"].result == {"all": ["1-failed", "2-failed"]}
    lang.mend("hooks_of_items")
    lang.client.retry(run.id)
    run = lang.ended(run.id)
    assert (run.state, run.warnings) == ("completed", 0)
    assert run.steps["reads"].result == {"all": ["1-completed", "2-completed"]}


def test_r12_an_attempt_has_its_timeout_and_all_of_them_their_budget(lang):
    run = lang.run(
        """
        steps:
          slow: {task: l.gate.v1, with: {name: never}, timeout: 300ms, max_attempts: 2, retry: {delay: 0}}
          failing:
            task: trib.fail.v1
            max_attempts: 50
            retry: {backoff: fixed, delay: 300ms, jitter: 0, budget: 500ms}
        """
    )
    slow, failing = run.steps["slow"], run.steps["failing"]
    assert (slow.state, slow.attempt, slow.error.reason) == ("discarded", 2, "timeout")
    assert (failing.state, failing.reason) == ("discarded", "budget")
    # the third would begin after it; on a busy machine the second does so already
    assert failing.attempt <= 2


def test_r12_a_retry_has_the_whole_time_of_the_run_again(lang):
    run = lang.run(
        """
        timeout: 1h
        steps:
          work: {task: l.flaky.v1, with: {name: timed}}
          behind: {task: l.gate.v1, needs: work, with: {name: timed}}
        """
    )
    assert (run.state, run.deadline) == ("failed", None)
    lang.mend("timed")
    lang.client.retry(run.id)
    lang.until(run.id, "behind", "running")
    assert lang.client.get(run.id).deadline >= run.finished_at + timedelta(hours=1)
    lang.open("timed")
    assert lang.ended(run.id).state == "completed"


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


def test_a_paused_run_begins_neither_items_nor_hooks(lang):
    run = lang.start(
        """
        steps:
          fan: {for_each: [f1, f2], max_parallel: 1, task: l.gate.v1, with: {name: "${{ item }}"}}
          last: {task: l.gate.v1, needs: fan, with: {name: f3}}
        finally: {hook: {task: trib.noop.v1}}
        """
    )
    lang.wait(lambda: ("began", "f1") in lang.notes(), 20, lang.notes)
    lang.client.pause(run)
    lang.open("f1")
    lang.wait(lambda: lang.client.get(run).steps["fan"].items.get("completed") == 1, 20, "an item has ended")
    assert [item.state for item in lang.client.items(run, "fan")] == ["completed", "waiting"]
    lang.client.resume(run)
    lang.open("f2")
    lang.until(run, "last", "running")
    lang.client.pause(run)
    lang.open("f3")
    lang.until(run, "hook", "waiting")
    assert lang.client.why(run, "hook").reasons[0].code == "paused"
    lang.client.resume(run)
    assert lang.ended(run).steps["hook"].state == "completed"


def test_a_paused_run_with_max_parallel_starts_nothing_in_the_place_of_what_ends(lang):
    run = lang.start(
        """
        max_parallel: 1
        steps:
          a: {task: l.gate.v1, with: {name: room_a}}
          b: {task: l.gate.v1, with: {name: room_b}}
          c: {task: l.gate.v1, with: {name: room_b}}
        """
    )
    lang.until(run, "a", "running")
    lang.client.pause(run)
    lang.open("room_a")
    lang.until(run, "a", "completed")
    assert lang.states(run) == {"a": "completed", "b": "waiting", "c": "waiting"}
    lang.client.resume(run)
    lang.until(run, "b", "running")
    assert lang.states(run)["c"] == "waiting"
    lang.open("room_b")
    assert lang.ended(run).state == "completed"


def test_a_fan_out_may_become_due_while_its_run_is_paused(lang):
    run = lang.start(
        """
        steps:
          first: {task: l.gate.v1, with: {name: before_items}}
          fan: {needs: first, for_each: [1, 2], task: trib.noop.v1, with: {n: "${{ item }}"}}
        """
    )
    lang.until(run, "first", "running")
    lang.client.pause(run)
    lang.open("before_items")
    lang.until(run, "fan", "waiting")
    assert lang.client.get(run).steps["first"].attempt == 1
    lang.client.resume(run)
    run = lang.ended(run)
    assert (run.state, run.steps["first"].attempt, run.steps["fan"].result) == (
        "completed",
        1,
        [{"n": 1}, {"n": 2}],
    )


def test_a_paused_run_that_is_cancelled_calls_its_hooks(lang):
    run = lang.start(
        """
        steps: {work: {task: l.gate.v1, with: {name: never}}}
        on_cancel: {tidy: {task: trib.noop.v1}}
        """
    )
    lang.until(run, "work", "running")
    lang.client.pause(run)
    assert lang.client.cancel(run) == "paused"
    run = lang.ended(run)
    assert (run.state, run.steps["tidy"].state) == ("cancelled", "completed")


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
