"""What went wrong, told by its cause: never by what was ended because of it."""

from __future__ import annotations

import pytest

RUN_FAST = """
        fail_fast: true
        steps:
          beside: {task: l.gate.v1, with: {name: never}}
          other: {task: l.gate.v1, with: {name: never}}
          bad: {needs: begun, task: l.flaky.v1, with: {name: seats}}
          begun: {task: trib.noop.v1}
        """
ITEMS = """
        steps:
          fan:
            for_each: [never, never, seats]
            key: "${{ index }}"
            task: l.mixed.v1
            with: {name: "${{ item }}"}
        """


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RUN_FAST, "RuntimeError: seats is broken"),
        (
            ITEMS,
            (
                "ItemsFailed: 1 of 3 items failed: 2; 2 more were cancelled; the first of them by "
                "RuntimeError: seats is broken"
            ),
        ),
    ],
    ids=["steps", "items"],
)
def test_a_parallel_failure_is_that_of_the_step_that_failed(lang, text, told):
    run = lang.run(text)
    assert (run.state, f"{run.error.type}: {run.error.message}") == ("failed", told)


def test_patterns_of_errors_decide_whether_another_attempt_follows(lang):
    run = lang.run("""
        defaults: {max_attempts: 3}
        steps:
          text: {task: l.sold.v1, retry: {delay: 10ms, not_on: ["*: *sold out*"]}}
          class: {task: l.sold.v1, retry: {delay: 10ms, on: ["language_handlers.*"]}}
          base: {task: l.sold.v1, retry: {delay: 10ms, on: [Lookup*]}}
          other: {task: l.sold.v1, retry: {delay: 10ms, on: ["*Timeout", "*: *refused*"]}}
        """)
    assert {step.id: step.attempt for step in run.steps.values()} == {
        "text": 1, "class": 3, "base": 3, "other": 1,
    }  # fmt: skip
    assert {step.state for step in run.steps.values()} == {"discarded"}
