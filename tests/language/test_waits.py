"""Waits and approvals on a real worker: times, signals, answers, their expressions and conditions."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tributary_daemon import errors


def test_a_timer_holds_what_needs_it_and_nothing_runs_meanwhile(lang):
    run = lang.start("""
        inputs: {pause: {type: string, default: 2s}}
        steps:
          before: {task: l.count.v1, with: {name: timer}}
          rest: {needs: before, wait: {for: "${{ inputs.pause }}"}}
          after: {needs: rest, task: l.count.v1, with: {name: timer}}
        """)
    lang.until(run, "rest", "waiting")
    told = lang.why(run, "rest")
    assert (told.code, told.state) == ("timer", "waiting")
    assert lang.client.get(run).state == "waiting"
    assert lang.client.get(run).steps["rest"].wait["for"] == "timer"
    document = lang.ended(run)
    rest, before = document.steps["rest"], document.steps["before"]
    held = (rest.finished_at - before.finished_at).total_seconds()
    assert 2 <= held < 8, "it counts from the end of what it needs"
    assert (document.state, rest.result, rest.attempt, rest.wait) == ("completed", None, 1, None)


def test_a_time_may_come_from_an_expression(lang):
    at = datetime.now(UTC) + timedelta(seconds=1)
    run = lang.run(
        'inputs: {at: {type: datetime}}\nsteps: {rest: {wait: {until: "${{ inputs.at }}"}}}',
        {"at": at.isoformat()},
    )
    assert run.state == "completed"
    assert 0 <= (run.steps["rest"].finished_at - at).total_seconds() < 2


@pytest.mark.parametrize(("wait", "message"), [
    ('{for: "${{ inputs.x }}"}', "`wait.for`"),
    ('{until: "${{ inputs.x }}"}', "`wait.until`"),
    ('{signal: "${{ inputs.empty }}"}', "a signal needs a name"),
])  # fmt: skip
def test_an_expression_that_gives_no_time_or_name_fails_the_step(lang, wait, message):
    run = lang.run(
        "inputs: {x: {type: string, default: soon}, empty: {type: string, default: ''}}\n"
        f"steps: {{rest: {{wait: {wait}}}}}"
    )
    assert run.state == "failed"
    assert message in run.steps["rest"].error.message


def test_a_signal_brings_its_payload_whether_it_comes_early_or_late(lang):
    text = """
        inputs: {order: {type: integer}}
        steps:
          gate: {task: l.gate.v1, with: {name: "early-${{ inputs.order }}"}}
          ready:
            needs: gate
            wait: {signal: "ready-${{ inputs.order }}", payload: {order: "${{ inputs.order }}"}}
          add: {task: l.add.v1, with: {numbers: "${{ steps.ready.result.numbers }}"}}
        result: "${{ steps.add.result }}"
        """
    early, late = (lang.start(text, {"order": n}) for n in (1, 2))
    assert lang.client.signal(early, "ready-1", {"order": 0, "numbers": [9]}) == 1
    assert lang.client.signal(early, "ready-1", {"order": 1, "numbers": [1, 2]}) == 2
    for n in (1, 2):
        lang.open(f"early-{n}")
    assert lang.ended(early).result == 3
    lang.until(late, "ready", "waiting")
    told = lang.why(late, "ready")
    assert told.code == "signal"
    assert "'ready-2' that holds {\"order\": 2}" in told.message
    assert f"trib signal {late} ready-2" in told.hint
    before = time.monotonic()
    lang.client.signal(late, "ready-2", {"order": 2, "numbers": [3, 4]})
    assert lang.ended(late).result == 7
    assert time.monotonic() - before < 5


def test_a_wait_whose_time_is_over_fails_or_goes_on(lang):
    failed = lang.start("steps: {w: {wait: {signal: never, timeout: 300ms}}}")
    goes_on = lang.run(
        "steps:\n  w: {wait: {signal: never, timeout: 300ms, on_timeout: continue}}\n"
        '  then: {needs: w, if: "${{ steps.w.result == null }}", task: l.count.v1, with: {name: over}}\n'
    )
    assert (goes_on.state, goes_on.steps["w"].state, goes_on.steps["then"].result) == (
        "completed", "completed", 1,
    )  # fmt: skip
    document = lang.ended(failed)
    assert (document.state, document.steps["w"].reason) == ("failed", "timeout")
    assert "no signal 'never' came in time" in document.steps["w"].error.message


def test_a_condition_is_asked_before_it_waits(lang):
    run = lang.run("inputs: {ask: {type: boolean, default: false}}\n"
                   "steps: {w: {if: inputs.ask, approve: {prompt: Sure?}}}")  # fmt: skip
    assert (run.state, run.steps["w"].state, run.steps["w"].reason) == ("completed", "skipped", "condition")


APPROVAL = """
inputs: {rows: {type: integer, default: 3}}
steps:
  ask:
    approve:
      prompt: "Publish ${{ inputs.rows }} rows?"
      form: {note: {type: string}, copies: {type: integer, required: false, default: 1, max: 9}}
  then: {needs: ask, task: l.add.v1, with: {numbers: ["${{ steps.ask.result.answer.copies }}", 1]}}
on_failure: {told: {task: l.count.v1, with: {name: rejected}}}
result: {by: "${{ steps.ask.result.by }}", sum: "${{ steps.then.result }}"}
"""


def test_an_approval_is_asked_for_and_its_answer_is_a_result(lang):
    run = lang.start(APPROVAL)
    lang.until(run, "ask", "waiting")
    asked = lang.client.get(run).steps["ask"].wait
    assert (asked["for"], asked["prompt"], set(asked["form"])) == (
        "approval", "Publish 3 rows?", {"note", "copies"},
    )  # fmt: skip
    assert "Publish 3 rows?" in lang.why(run, "ask").message
    with pytest.raises(errors.InvalidInput, match="'copies'") as caught:
        lang.client.approve(run, "ask", {"copies": 10})
    assert "field 'note' is required" in caught.value.message
    assert lang.client.approve(run, "ask", {"note": "fine", "copies": 2}, sender="ada") == "completed"
    assert lang.ended(run).result == {"by": "ada", "sum": 3}
    with pytest.raises(errors.NotPossible, match="asks for no answer"):
        lang.client.approve(run, "ask", {"note": "again"})


def test_a_rejection_fails_the_step_and_hooks_see_it(lang):
    run = lang.start(APPROVAL)
    lang.until(run, "ask", "waiting")
    assert lang.client.reject(run, "ask", "not today", sender="bob") == "discarded"
    document = lang.ended(run)
    assert (document.state, document.steps["ask"].reason, document.steps["told"].state) == (
        "failed", "rejected", "completed",
    )  # fmt: skip
    assert document.steps["ask"].error.message == "rejected by bob: not today"


def test_each_item_of_a_fan_out_waits_for_a_signal_of_its_own(lang):
    run = lang.start("""
        steps:
          each: {for_each: [a, b], wait: {signal: "ready-${{ item }}"}}
          all: {needs: each, task: l.count.v1, with: {name: "${{ steps.each.result[0] }}"}}
        """)
    lang.wait(
        lambda: [item.state for item in lang.client.items(run, "each")] == ["waiting", "waiting"],
        20, "both wait",
    )  # fmt: skip
    lang.client.signal(run, "ready-b", "B")
    lang.client.signal(run, "ready-a", "A")
    document = lang.ended(run)
    assert document.steps["each"].result == ["A", "B"]


def test_an_item_is_approved_by_its_key(lang):
    asked = "{for_each: [eu, us], key: '${{ item }}', approve: {prompt: 'To ${{ item }}?'}}"
    run = lang.start(f"steps: {{ask: {asked}}}")
    lang.wait(
        lambda: [item.state for item in lang.client.items(run, "ask")] == ["waiting", "waiting"],
        20, "both wait",
    )  # fmt: skip
    assert f"`trib approve {run} 'ask[eu]'`" in lang.client.why(run, "ask[eu]").reasons[0].hint
    for key in ("eu", "us"):
        lang.client.approve(run, f"ask[{key}]", sender=key)
    assert [result["by"] for result in lang.ended(run).steps["ask"].result] == ["eu", "us"]


def test_a_cancel_ends_what_waits_and_a_retry_waits_anew(lang):
    run = lang.start("steps: {w: {wait: {signal: go}}}")
    lang.until(run, "w", "waiting")
    lang.client.cancel(run)
    assert lang.ended(run).steps["w"].state == "cancelled"
    with pytest.raises(errors.NotPossible, match="has ended"):
        lang.client.signal(run, "go")
    lang.client.retry(run)
    lang.until(run, "w", "waiting")
    lang.client.signal(run, "go", 1)
    assert lang.ended(run).steps["w"].result == 1


def test_a_signal_in_the_callers_transaction_comes_with_its_commit(lang):
    run = lang.start("steps: {w: {wait: {signal: paid}}}")
    lang.until(run, "w", "waiting")
    lang.sql.execute("create table if not exists payments (n int)")
    with lang.sql.transaction(force_rollback=True):
        lang.client.signal(run, "paid", 1, connection=lang.sql)
        lang.sql.execute("insert into payments values (1)")
    assert lang.states(run) == {"w": "waiting"}
    with lang.sql.transaction():
        lang.client.signal(run, "paid", 2, connection=lang.sql)
        lang.sql.execute("insert into payments values (2)")
    assert lang.ended(run).steps["w"].result == 2
    assert lang.one("select array_agg(n) from payments") == ([2],)


def test_a_wait_for_a_sub_workflow_is_signalled_by_the_id_of_its_run(lang):
    run = lang.start(
        "steps: {call: {workflow: inner.v1}}\n---\nname: inner.v1\nsteps: {w: {wait: {signal: go}}}\n"
    )
    lang.wait(lambda: lang.client.get(run).steps["call"].child is not None, 20, "the child is there")
    child = lang.client.get(run).steps["call"].child
    lang.until(child, "w", "waiting")
    lang.client.signal(child, "go", 5)
    assert lang.ended(run).steps["call"].result == {"w": 5}
