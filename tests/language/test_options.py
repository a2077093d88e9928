"""Options of steps that are expressions, as they run."""

from __future__ import annotations


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
    assert run.state == "completed", run
    b = run.steps["b"]
    assert (b.name, b.priority, b.max_attempts, b.queue, b.attempt) == ("trib.noop.v1", 7, 5, "default", 1)
    assert b.needs == ("a",)
