"""Sub-workflows: a step that runs a workflow."""

from __future__ import annotations

TWO = """
name: parent.v1
inputs: {who: {type: string, default: you}}
steps:
  greet: {workflow: greeting.v1, with: {who: "${{ inputs.who }}"}}
  reads: {task: trib.noop.v1, with: {said: "${{ steps.greet.result.text }}"}}
---
name: greeting.v1
inputs: {who: {type: string}}
steps: {make: {task: trib.noop.v1, with: {text: "hello ${{ inputs.who }}"}}}
result: {text: "${{ steps.make.result.text }}"}
"""


def test_a_document_of_the_same_file_runs_as_a_child_and_gives_its_result(lang):
    run = lang.run(TWO)
    assert run.state == "completed"
    assert run.steps["reads"].result == {"said": "hello you"}
    child = lang.client.get(run.steps["greet"].child)
    assert (child.parent, child.name, child.state) == (run.id, "greeting.v1", "completed")
    assert lang.client.get("@latest").id == run.id
    assert child.id not in {item.id for item in lang.client.list(limit=1000).items}


def test_a_file_runs_as_a_child_and_keeps_its_revision(lang):
    (lang.home / "inner.yaml").write_text("name: inner.v1\nsteps: {a: {task: trib.noop.v1, with: {n: 1}}}")
    run = lang.start(
        "steps: {wait: {task: l.gate.v1, with: {name: file}}, sub: {workflow: ./inner.yaml, needs: wait}}"
    )
    (lang.home / "inner.yaml").write_text("name: inner.v1\nsteps: {a: {task: trib.noop.v1, with: {n: 2}}}")
    lang.open("file")
    # without `result` the child's is that of the steps that nobody needs
    assert lang.ended(run).steps["sub"].result == {"a": {"n": 1}}


def test_a_registered_workflow_runs_as_a_child_and_an_unknown_one_fails_by_name(lang):
    path = lang.home / "registered.yaml"
    path.write_text(
        "name: registered.v1\ninputs: {n: {type: integer, min: 3}}\n"
        "steps: {a: {task: trib.noop.v1, with: {n: '${{ inputs.n }}'}}}"
    )
    lang.client.register(str(path))
    run = lang.run(
        """
        steps:
          good: {workflow: registered.v1, with: {n: 7}}
          refused: {workflow: registered.v1, with: {n: 1}}
          unknown: {workflow: nobody.v1}
        """
    )
    assert run.steps["good"].result == {"a": {"n": 7}}
    assert "n" in run.steps["refused"].error.message
    assert run.steps["refused"].state == "discarded"
    assert "no workflow named 'nobody.v1' is registered" in run.steps["unknown"].error.message


def test_a_child_that_fails_fails_its_step_and_a_retry_starts_another(lang):
    text = """
        name: parent.v1
        steps:
          sub: {workflow: child.v1, max_attempts: TRIES, retry: {delay: 0}}
          below: {task: trib.noop.v1, needs: sub}
        ---
        name: child.v1
        steps: {work: {task: l.flaky.v1, with: {name: child}}}
        """.replace("        ", "")
    run = lang.run(text.replace("TRIES", "2"))
    assert run.state == "failed"
    assert (run.steps["sub"].state, run.steps["sub"].attempt) == ("discarded", 2)
    assert (
        "RuntimeError" in run.steps["sub"].error.message
        or "child is broken" in run.steps["sub"].error.message
    )
    assert lang.one("select count(*) from tributary.runs where parent_run_id = %s", run.id) == (2,)
    lang.mend("child")
    lang.client.retry(run.id)
    run = lang.ended(run.id)
    assert (run.state, run.steps["sub"].result) == ("completed", {"work": "child"})
    assert lang.one("select count(*) from tributary.runs where parent_run_id = %s", run.id) == (3,)


def test_parent_and_child_are_cancelled_together(lang):
    text = """
        name: parent.v1
        steps: {sub: {workflow: middle.v1}}
        ---
        name: middle.v1
        steps: {sub: {workflow: inner.v1}}
        ---
        name: inner.v1
        steps: {work: {task: l.gate.v1, with: {name: NAME}}}
        on_cancel: {tidy: {task: trib.noop.v1}}
        """.replace("        ", "")
    whole = lang.start(text.replace("NAME", "never"))
    lang.until(whole, "sub", "running")
    middle = lang.wait(lambda: lang.client.get(whole).steps["sub"].child, 10, "a child")
    inner = lang.wait(lambda: lang.client.get(middle).steps["sub"].child, 10, "a grandchild")
    lang.until(inner, "work", "running")
    assert lang.client.why(whole, "sub").reasons[0].code == "child"
    assert lang.client.get(whole).state == "running"
    lang.client.cancel(whole)
    assert lang.ended(whole).state == "cancelled"
    assert lang.ended(middle).state == "cancelled"
    run = lang.ended(inner)
    assert (run.state, run.steps["work"].state, run.steps["tidy"].state) == (
        "cancelled",
        "cancelled",
        "completed",
    )
    # whatever their ends tell it, the step that waited for them was cancelled with its run
    assert lang.states(whole) == lang.states(middle) == {"sub": "cancelled"}
    # a child that is cancelled by itself fails the step that waits for it, for good
    again = "{workflow: middle.v1, max_attempts: 2, retry: {delay: 0}}"
    other = lang.start(text.replace("NAME", "never").replace("{workflow: middle.v1}", again))
    middle = lang.wait(lambda: lang.client.get(other).steps["sub"].child, 10, "a child")
    lang.wait(lambda: lang.client.get(middle).steps["sub"].child, 10, "a grandchild")
    lang.client.cancel(middle)
    run = lang.ended(other)
    assert (run.state, run.steps["sub"].error.reason) == ("failed", "child_cancelled")
    assert run.steps["sub"].attempt == 1


def test_what_waits_below_a_child_does_not_start_when_both_are_cancelled(lang):
    run = lang.start(
        """
        name: parent.v1
        steps:
          sub: {workflow: child.v1}
          handles: {task: trib.noop.v1, needs: sub, if: failure()}
          below: {task: trib.noop.v1, needs: sub}
        on_failure: {wrong: {task: trib.noop.v1}}
        on_cancel: {right: {task: trib.noop.v1}}
        ---
        name: child.v1
        steps: {work: {task: l.gate.v1, with: {name: never}}}
        """.replace("        ", "")
    )
    child = lang.wait(lambda: lang.client.get(run).steps["sub"].child, 10, "a child")
    lang.until(child, "work", "running")
    lang.client.cancel(run)
    assert lang.ended(run).state == "cancelled"
    assert lang.states(run) == {
        "sub": "cancelled", "handles": "cancelled", "below": "cancelled",
        "wrong": "skipped", "right": "completed",
    }  # fmt: skip
    assert lang.one("select count(*) from tributary.dead_letters where run_id = %s", run) == (0,)


def test_a_child_runs_once_per_item(lang):
    run = lang.run(
        """
        name: parent.v1
        steps: {subs: {for_each: [a, b], workflow: child.v1, with: {name: "${{ item }}"}, key: "${{ item }}"}}
        ---
        name: child.v1
        inputs: {name: {type: string}}
        steps: {work: {task: trib.noop.v1, with: {n: "${{ inputs.name }}"}}}
        """.replace("        ", "")
    )
    assert run.steps["subs"].result == [{"work": {"n": "a"}}, {"work": {"n": "b"}}]
    items = lang.client.items(run.id, "subs")
    assert all(lang.client.get(item.child).parent == run.id for item in items)


def test_a_paused_run_pauses_its_children(lang):
    run = lang.start(
        """
        name: parent.v1
        steps: {sub: {workflow: child.v1}}
        ---
        name: child.v1
        steps: {work: {task: l.gate.v1, with: {name: inner}}, behind: {task: trib.noop.v1, needs: work}}
        """.replace("        ", "")
    )
    child = lang.wait(lambda: lang.client.get(run).steps["sub"].child, 10, "a child")
    lang.until(child, "work", "running")
    lang.client.pause(run)
    lang.open("inner")
    lang.until(child, "behind", "waiting")
    assert lang.client.get(child).state == "paused"
    lang.client.resume(run)
    assert lang.ended(run).state == "completed"
