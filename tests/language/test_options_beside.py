"""Options that are expressions, beside everything else that a step may have, and steered while it is due."""

from __future__ import annotations

import itertools
import os
import signal
from datetime import timedelta

CHILDREN = """\
name: parent
steps:
  a: {task: trib.noop.v1, with: {p: 8}}
  child: {workflow: inner, priority: "${{ steps.a.result.p }}", max_attempts: "${{ 2 }}", with: {n: 3}}
  each: {workflow: inner, for_each: [1, 2], priority: "${{ item }}", with: {n: "${{ item }}"}}
---
name: inner
inputs: {n: {type: integer}}
steps: {x: {task: trib.noop.v1, with: {n: "${{ inputs.n }}"}, priority: "${{ inputs.n }}"}}
result: ${{ steps.x.result.n }}
"""


def of_items(lang, run_id):
    """Return (priority, queue, has a time) of the items of a run's fan-out, its aggregate last."""
    return lang.sql.execute(
        "select priority, queue, run_at is not null from tributary.steps"
        " where run_id = %s and item_key is not null order by ordinal",
        (run_id,),
    ).fetchall()


# --- beside everything else that a step may have ---------------------------------------------------


def test_a_condition_is_asked_before_the_options_are(lang):
    run = lang.run(
        """
        steps:
          a: {task: trib.noop.v1, with: {x: 1}}
          b: {task: trib.noop.v1, if: steps.a.result.x == 2, priority: "${{ steps.a.result.nothing }}"}
          c: {task: trib.noop.v1, if: steps.a.result.x == 1, priority: "${{ steps.a.result.x }}"}
          d: {task: trib.noop.v1, if: failure(), priority: "${{ 5 }}"}
          e: {task: trib.noop.v1, needs: b}
        """
    )
    assert run.state == "completed"
    assert {step.id: step.state for step in run.steps.values()} == {
        "a": "completed", "b": "skipped", "c": "completed", "d": "skipped", "e": "completed",
    }  # fmt: skip
    assert (run.steps["b"].reason, run.steps["b"].name) == ("condition", "trib.noop.v1")
    assert lang.why(run.id, "b").code == "condition"


def test_an_item_decides_its_own_options(lang):
    run = lang.run(
        """
        inputs: {rows: {type: list}}
        steps:
          fan:
            for_each: ${{ inputs.rows }}
            key: ${{ item.id }}
            if: item.id != 'skip'
            task: trib.noop.v1
            with: {id: "${{ item.id }}"}
            priority: ${{ item.p }}
            max_attempts: ${{ index + 1 }}
            tolerate: 1
            aggregate: {task: trib.noop.v1, with: {all: "${{ steps.fan.items.*.result.id }}"}}
        """,
        {"rows": [{"id": "a", "p": 5}, {"id": "b", "p": "7"}, {"id": "skip"}, {"id": "bad", "p": "x"}]},
    )
    assert run.state == "completed"
    assert run.steps["fan"].name == "trib.noop.v1"
    items = lang.client.items(run.id, "fan")
    assert [(item.key, item.state, item.reason) for item in items] == [
        ("a", "completed", None), ("b", "completed", None), ("skip", "skipped", "condition"),
        ("bad", "discarded", "expression"),
    ]  # fmt: skip
    rows = lang.sql.execute(
        "select item_key, name, priority, max_attempts from tributary.steps"
        " where run_id = %s and item_key is not null order by ordinal", (run.id,),
    ).fetchall()  # fmt: skip
    assert rows[:2] == [("a", "trib.noop.v1", 5, 1), ("b", "trib.noop.v1", 7, 2)]
    assert rows[4] == ("aggregate", "trib.noop.v1", 0, 3)
    assert run.steps["fan"].result == {"all": ["a", "b"]}


def test_a_matrix_decides_per_combination_and_its_limit_holds(lang):
    run = lang.run(
        """
        inputs: {queue: {type: string}}
        steps:
          fan:
            matrix: {size: [1, 2, 3], zone: [a, b]}
            max_parallel: 2
            task: trib.noop.v1
            with: {at: "${{ matrix.size }}${{ matrix.zone }}"}
            priority: ${{ matrix.size }}
            queue: ${{ inputs.queue }}
            run_after: ${{ matrix.size * 100 }}ms
            aggregate: {task: trib.noop.v1}
        """,
        {"queue": "default"},
    )
    assert run.state == "completed"
    rows = of_items(lang, run.id)
    assert rows[:6] == [(size, "default", True) for size in (1, 1, 2, 2, 3, 3)]
    # what has nothing of an item holds for the aggregate, too; it is not delayed once more
    assert rows[6] == (0, "default", False)


def test_a_sub_workflow_step_decides_and_then_starts_its_run(lang):
    run = lang.run(CHILDREN)
    assert run.state == "completed"
    child = run.steps["child"]
    assert (child.name, child.priority, child.max_attempts, child.result) == ("trib.workflow.v1", 8, 2, 3)
    assert lang.client.get(child.child).steps["x"].priority == 3
    assert run.steps["each"].result == [1, 2]


def test_steps_of_hooks_decide_when_their_hook_begins(lang):
    run = lang.run(
        """
        steps: {a: {task: l.flaky.v1, with: {name: never}}}
        on_failure:
          tell: {task: trib.noop.v1, priority: "${{ length(run.error.message) }}", run_after: "${{ 300 }}ms"}
          bad: {task: trib.noop.v1, priority: "${{ run.state }}"}
        finally:
          last: {task: trib.noop.v1, priority: "${{ steps.tell.result.no ?? 4 }}"}
        on_success: {never: {task: trib.noop.v1, priority: "${{ 1 }}"}}
        """
    )
    assert (run.state, run.warnings) == ("failed", 1)
    tell = run.steps["tell"]
    assert (tell.state, tell.priority, run.steps["last"].priority) == ("completed", len("never is broken"), 4)
    assert tell.started_at - run.steps["a"].finished_at >= timedelta(seconds=0.3)
    assert (run.steps["bad"].state, run.steps["never"].reason) == ("discarded", "hook")


def test_a_step_of_a_group_decides_first_and_then_asks_for_its_slot(lang):
    run_id = lang.start(
        """
        steps:
          a: {task: l.gate.v1, with: {name: grp-a}, concurrency: {group: opt}, priority: "${{ 2 }}"}
          b: {task: l.gate.v1, with: {name: grp-b}, concurrency: {group: opt}, priority: "${{ 1 }}"}
        """
    )
    lang.wait(lambda: sorted(lang.row(run_id, step)[2] for step in "ab") == ["running", "waiting"], 20)
    assert {lang.row(run_id, step)[0] for step in "ab"} == {"l.gate.v1"}
    lang.open("grp-a")
    lang.open("grp-b")
    run = lang.ended(run_id)
    assert [(step.state, step.priority, step.attempt) for step in run.steps.values()] == [
        ("completed", 2, 1), ("completed", 1, 1),
    ]  # fmt: skip


def test_the_limit_of_a_run_holds(lang):
    run = lang.run(
        """
        max_parallel: 1
        steps:
          a: {task: trib.noop.v1, priority: "${{ 1 }}"}
          b: {task: trib.noop.v1, priority: "${{ 2 }}", needs: []}
          c: {task: trib.noop.v1, needs: []}
          d: {task: trib.noop.v1, priority: "${{ 3 }}", needs: [a, c]}
          fan: {for_each: [1, 2, 3], task: trib.noop.v1, with: {n: "${{ item }}"}, priority: "${{ item }}"}
        """
    )
    assert run.state == "completed"
    assert run.steps["fan"].result == [{"n": 1}, {"n": 2}, {"n": 3}]
    ran = [*(run.steps[step] for step in "abcd"), *lang.client.items(run.id, "fan")]
    spans = sorted((each.started_at, each.finished_at) for each in ran)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_a_step_whose_handler_is_unknown_waits_for_it_and_leaves_its_room(lang):
    run_id = lang.start(
        """
        max_parallel: 1
        steps:
          a: {task: l.unknown.v1, priority: "${{ 3 }}"}
          b: {task: trib.noop.v1, needs: []}
        """
    )
    lang.until(run_id, "b", "completed")
    assert lang.row(run_id, "a")[:5] == ("l.unknown.v1", "default", "waiting", "no_handler", 3)
    assert lang.why(run_id, "a").message == "no worker has ever offered the handler l.unknown.v1"
    lang.client.cancel(run_id)


# --- pause, cancel, change, retry, kill ------------------------------------------------------------


def test_a_pause_while_it_is_due_holds_it_and_it_goes_on(lang, at_rest):
    at_rest()
    run_id = lang.start('steps: {a: {task: trib.noop.v1, priority: "${{ 5 }}"}}')
    lang.client.pause(run_id)
    at_rest.end()
    # another one that came later has been decided by now
    assert lang.run('steps: {b: {task: trib.noop.v1, priority: "${{ 1 }}"}}').state == "completed"
    assert lang.row(run_id, "a")[:4] == ("trib.options.v1", "~closing", "waiting", "paused")
    assert lang.client.get(run_id).steps["a"].name == "trib.noop.v1"
    assert lang.client.get(run_id).steps["a"].priority == 0
    assert lang.why(run_id, "a").code == "paused"
    lang.client.resume(run_id)
    assert lang.ended(run_id).steps["a"].priority == 5


def test_a_cancel_while_it_is_due_ends_it(lang, at_rest):
    at_rest()
    run_id = lang.start('steps: {a: {task: trib.noop.v1, priority: "${{ 5 }}"}}')
    lang.client.cancel(run_id)
    at_rest.end()
    run = lang.ended(run_id)
    assert (run.state, run.steps["a"].state, run.steps["a"].name) == (
        "cancelled",
        "cancelled",
        "trib.noop.v1",
    )


def test_a_change_is_stronger_than_an_expression(lang, at_rest):
    at_rest()
    run_id = lang.start(
        """
        steps:
          a: {task: trib.noop.v1, priority: "${{ 'none' }}", queue: "${{ 1 }}", timeout: "${{ 9 }}"}
        """
    )
    lang.client.change(run_id, step="a", priority=8, queue="default")
    at_rest.end()
    run = lang.ended(run_id)
    assert (run.state, run.steps["a"].priority, run.steps["a"].queue) == ("completed", 8, "default")


def test_a_retry_decides_anew(lang):
    run = lang.run(
        """
        steps:
          a: {task: l.count.v1, with: {name: anew}}
          b: {task: l.flaky.v1, with: {name: anew}, priority: "${{ steps.a.result }}"}
          fan: {for_each: [1, 2], task: trib.noop.v1, priority: "${{ steps.a.result + item }}"}
        finally: {last: {task: trib.noop.v1, priority: "${{ steps.a.result }}"}}
        """
    )
    assert (run.state, run.steps["b"].priority, run.steps["last"].priority) == ("failed", 1, 1)
    lang.client.retry(run.id, "a")
    run = lang.ended(run.id)
    assert (run.state, run.steps["b"].priority, run.steps["last"].priority) == ("failed", 2, 2)
    assert run.steps["b"].attempt == 2
    assert [each[0] for each in of_items(lang, run.id)] == [3, 4]
    lang.mend("anew")
    lang.client.requeue(f"{run.id}/b")
    run = lang.ended(run.id)
    assert (run.state, run.steps["b"].priority, run.steps["b"].attempt) == ("completed", 2, 3)
    lang.client.retry_only(run.id, "a")
    run = lang.ended(run.id)
    # what completed below keeps its result, and its options
    assert (run.state, run.steps["b"].priority, run.steps["last"].priority) == ("completed", 2, 3)
    lang.client.retry_only(run.id, "fan[1]")
    run = lang.ended(run.id)
    assert [each[0] for each in of_items(lang, run.id)] == [3, 5]


def test_a_step_that_failed_for_its_options_is_decided_anew_by_a_retry(lang):
    run = lang.run(
        """
        steps:
          a: {task: l.count.v1, with: {name: fault}}
          b: {task: trib.noop.v1, priority: "${{ fromJSON('[null, \\"x\\", 6]')[steps.a.result] }}"}
        """
    )
    assert (run.state, run.steps["b"].error.reason) == ("failed", "expression")
    lang.client.retry(run.id, "a")
    run = lang.ended(run.id)
    assert (run.state, run.steps["b"].priority, run.steps["b"].error) == ("completed", 6, None)


def test_a_process_that_dies_between_claim_and_decision_loses_nothing(lang):
    run_id = lang.start(
        """
        steps:
          g: {task: l.gate.v1, with: {name: dying}}
          a: {task: trib.noop.v1, needs: g, priority: "${{ 5 }}", max_attempts: "${{ 1 }}"}
        """
    )
    lang.until(run_id, "g", "running")
    with lang.sql.transaction():
        # where the decision is to be written
        lang.sql.execute(
            "select from tributary.payloads where run_id = %s and ordinal = 2 for update", (run_id,)
        )
        lang.open("dying")
        lang.wait(lambda: lang.row(run_id, "a")[2] == "running", 20)
        assert lang.row(run_id, "a")[:2] == ("trib.options.v1", "~closing")
        os.kill(
            lang.one(
                "select p.pid from tributary.steps s join tributary.processes p using (process_id)"
                " where s.run_id = %s and s.step_id = 'a'", run_id,
            )[0],
            signal.SIGKILL,
        )  # fmt: skip
        # the server would go on with what it was sent before
        lang.sql.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
    run = lang.ended(run_id)
    a = run.steps["a"]
    assert (run.state, a.priority, a.max_attempts, a.name) == ("completed", 5, 1, "trib.noop.v1")
    assert [event.type for event in lang.client.events(run_id).items if event.step == "a"].count(
        "step_decided"
    ) == 1
