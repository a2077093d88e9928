"""Concurrency groups of steps and runs, and R13: secrets."""

from __future__ import annotations

import pytest

from tributary_daemon import errors


def began(lang, *names):
    return [name for word, name in lang.notes() if word == "began" and name in names]


def test_steps_of_one_group_run_one_after_the_other_over_all_runs(lang):
    text = """
        inputs: {name: {type: string}}
        steps:
          work:
            task: l.gate.v1
            with: {name: "${{ inputs.name }}"}
            concurrency: {group: "etl-${{ 'prod' }}", limit: 1}
        """
    first = lang.start(text, {"name": "g1"})
    lang.until(first, "work", "running")
    second = lang.start(text, {"name": "g2"})
    lang.until(second, "work", "waiting")
    (told,) = [reason for reason in lang.client.why(second, "work").reasons if reason.code == "group"]
    assert "etl-prod" in told.message
    assert began(lang, "g1", "g2") == ["g1"]
    lang.open("g1")
    assert lang.ended(first).state == "completed"
    lang.until(second, "work", "running", 10)
    lang.open("g2")
    run = lang.ended(second)
    assert (run.state, run.steps["work"].attempt) == ("completed", 1)
    held = "select count(*) from tributary.group_slots where state = 'held'"
    lang.wait(lambda: lang.one(held) == (0,), 10, "no slot is kept")


def test_a_run_of_a_full_group_waits_is_refused_or_takes_the_place_of_another(lang):
    text = """
        name: grouped.v1
        inputs: {name: {type: string}}
        concurrency: {group: "run-${{ inputs.name }}", limit: 1, on_limit: ON}
        steps: {work: {task: l.gate.v1, with: {name: "NAME"}}}
        """.replace("\n        ", "\n")
    holder = lang.start(text.replace("ON", "queue").replace("NAME", "h1"), {"name": "a"})
    lang.until(holder, "work", "running")
    waiting = lang.start(text.replace("ON", "queue").replace("NAME", "h2"), {"name": "a"})
    assert lang.client.get(waiting).state == "waiting"
    assert "group" in {reason.code for reason in lang.client.why(waiting).reasons}
    beside = lang.start(text.replace("ON", "queue").replace("NAME", "h3"), {"name": "b"})
    lang.until(beside, "work", "running")
    before = lang.one("select count(*) from tributary.runs")
    with pytest.raises(errors.NotPossible, match="'run-a' is full"):
        lang.start(text.replace("ON", "reject").replace("NAME", "h4"), {"name": "a"})
    assert lang.one("select count(*) from tributary.runs") == before
    lang.open("h1")
    lang.ended(holder)
    own = "select count(*) from tributary.group_slots where state = 'held' and run_id = %s"
    assert lang.one(own, holder) == (0,), "its slot is free with its end, not when the leader sweeps"
    lang.until(waiting, "work", "running", 15)
    newest = lang.start(text.replace("ON", "cancel_running").replace("NAME", "h5"), {"name": "a"})
    assert lang.ended(waiting).state == "cancelled"
    lang.until(newest, "work", "running", 15)
    for name in ("h3", "h5"):
        lang.open(name)
    assert lang.ended(newest).state == lang.ended(beside).state == "completed"


GROUPED_CHILD = """
name: NAME
steps: {sub: {workflow: kid.v1, concurrency: {group: subs, limit: 1, on_limit: MODE}}}
---
name: kid.v1
steps: {work: {task: l.gate.v1, with: {name: GATE}}}
"""


def grouped_child(lang, gate, mode):
    words = {"NAME": f"parent.{gate}.v1", "MODE": mode, "GATE": gate}
    text = GROUPED_CHILD
    for word, given in words.items():
        text = text.replace(word, given)
    return lang.start(text)


def test_a_step_that_runs_a_workflow_keeps_its_slot_until_that_has_ended(lang):
    first = grouped_child(lang, "s1", "queue")
    lang.wait(lambda: began(lang, "s1"), 20, "the child of the first one is at work")
    second = grouped_child(lang, "s2", "queue")
    lang.wait(lambda: lang.why(second, "sub").code == "group", 20, "the second one waits for the slot")
    lang.open("s1")
    assert lang.ended(first).state == "completed"
    lang.wait(lambda: began(lang, "s2"), 20, "the second one has it")
    assert began(lang, "s1", "s2") == ["s1", "s2"]
    third = grouped_child(lang, "s3", "cancel_running")
    ousted = lang.ended(second)
    assert (ousted.state, ousted.steps["sub"].state) == ("failed", "cancelled")
    assert lang.client.get(ousted.steps["sub"].child).state == "cancelled"
    lang.wait(lambda: began(lang, "s3"), 20, "the newest one has it")
    lang.client.cancel(third)
    assert lang.ended(third).state == "cancelled"
    fourth = grouped_child(lang, "s4", "queue")
    lang.wait(lambda: began(lang, "s4"), 5, "a cancelled one has given its slot back")
    lang.open("s4")
    assert lang.ended(fourth).state == "completed"


def test_a_step_whose_workflow_is_refused_by_its_group_fails_and_nothing_else(lang):
    kid = """
        name: kid.v1
        concurrency: {group: kids, limit: 1, on_limit: reject}
        steps: {work: {task: l.gate.v1, with: {name: k1}}}
        """.replace("\n        ", "\n")
    (lang.home / "kid.yaml").write_text(kid)
    lang.client.register(str(lang.home / "kid.yaml"))
    holder = lang.start("steps: {call: {workflow: kid.v1}}")
    lang.wait(lambda: began(lang, "k1"), 20, "the first one has the slot")
    refused = lang.run("steps: {call: {workflow: kid.v1}, beside: {run: 'true'}}")
    step = refused.steps["call"]
    assert (step.state, step.reason, step.attempt) == ("discarded", "group_limit", 1)
    assert step.error.message == "the concurrency group 'kids' is full"
    assert refused.steps["beside"].state == "completed"
    lang.open("k1")
    assert lang.ended(holder).state == "completed"
    assert "process died" not in (lang.home / "log").read_text()


def test_r13_secrets_are_read_by_the_worker_and_masked_in_all_that_is_kept(lang):
    (lang.home / "secrets").mkdir(exist_ok=True)
    (lang.home / "secrets" / "api_token").write_text("hunter-two\n")
    run = lang.run(
        """
        secrets: [api_token, missing_one]
        steps:
          uses:
            run: |
              echo "token is $TOKEN"
              echo "length=${#TOKEN}" >> "$TRIB_OUTPUT"
              exit $CODE
            env: {TOKEN: "${{ secrets.api_token }}", CODE: "0"}
          fails:
            run: echo "wrong $TOKEN" >&2; exit 3
            env: {TOKEN: "${{ secrets.api_token }}"}
          lacks:
            task: trib.noop.v1
            with: {t: "${{ secrets.missing_one }}"}
            max_attempts: 1
        """
    )
    assert run.steps["uses"].result == {"length": "10"}
    assert "hunter-two" not in run.steps["fails"].error.message
    assert "wrong ***" in run.steps["fails"].error.message
    assert "missing_one" in run.steps["lacks"].error.message
    lines = [record.text for record in lang.client.logs(run.id)]
    assert "token is ***" in "\n".join(lines)
    stored = lang.one(
        "select (select count(*) from tributary.payloads p where p.payload::text like '%%hunter%%')"
        " + (select count(*) from tributary.steps s where to_jsonb(s)::text like '%%hunter%%')"
        " + (select count(*) from tributary.attempts a where a.error::text like '%%hunter%%')"
        " + (select count(*) from tributary.log_chunks c where c.entries::text like '%%hunter%%')"
    )
    assert stored == (0,)
    assert "hunter-two" not in (lang.home / "log").read_text()


def test_a_child_run_in_the_group_of_its_parent_works_under_its_slot(lang):
    text = """
        name: outer.v1
        concurrency: {group: nested, limit: 1}
        steps: {call: {workflow: inner.v1}}
        ---
        name: inner.v1
        concurrency: {group: nested, limit: 1}
        steps: {work: {run: "true", concurrency: {group: nested, limit: 1}}}
        """.replace("\n        ", "\n")
    first, second = (lang.start(text) for _ in range(2))
    assert [lang.ended(run).state for run in (first, second)] == ["completed"] * 2
    spans = [(run.started_at, run.finished_at) for run in map(lang.client.get, (first, second))]
    assert spans[0][1] <= spans[1][0], "one of them at a time"
