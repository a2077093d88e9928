# ruff: noqa: E501 - documents read best unbroken
"""The keys of a workflow, and the steps that wait."""

from __future__ import annotations

import pytest

from tributary_daemon.spec.loader import load_text

OK = "steps: {z: {run: x}}\n"
TASK = "steps:\n  a: {run: x}\n  b:\n    task: t.v1\n"

HEAD = """
timeout: 1h30m
max_parallel: 4
fail_fast: true
secrets: TOKEN
concurrency: {group: "etl-${{ inputs.env }}", limit: 2, on_limit: cancel_pending}
schedule: ["*/5 * * * *", {cron: "0 6 * * 1", timezone: Europe/Berlin, overlap: queue, catchup: 6h, jitter: 2m, inputs: {env: x}}]
preconditions:
  - inputs.env != ''
  - {if: "${{ run.name != '' }}", message: nameless}
keep: {days: 90, runs: 200}
inputs: {env: {type: string, default: dev}}
steps: {a: {run: x}}
"""


def test_keys_of_a_workflow():
    spec = load_text(HEAD)
    assert (spec.timeout, spec.max_parallel, spec.fail_fast, spec.secrets) == (5400.0, 4, True, ("TOKEN",))
    assert spec.concurrency == {"group": "etl-${{ inputs.env }}", "limit": 2, "on_limit": "cancel_pending"}
    assert spec.keep == {"days": 90, "runs": 200}
    assert spec.preconditions == (
        {"if": "inputs.env != ''", "message": None},
        {"if": "run.name != ''", "message": "nameless"},
    )
    assert spec.schedule == (
        {
            "cron": "*/5 * * * *",
            "timezone": "UTC",
            "overlap": "skip",
            "catchup": 0.0,
            "jitter": 0.0,
            "inputs": {},
        },
        {
            "cron": "0 6 * * 1",
            "timezone": "Europe/Berlin",
            "overlap": "queue",
            "catchup": 21600.0,
            "jitter": 120.0,
            "inputs": {"env": "x"},
        },
    )


@pytest.mark.parametrize("one", ["schedule: '* * * * *'", "preconditions: inputs.a", "secrets: [A]"])
def test_one_stands_for_a_list_of_one(one):
    spec = load_text("inputs: {a: {type: string, default: x}}\n" + OK + one)
    assert len(spec.schedule) + len(spec.preconditions) + len(spec.secrets) == 1


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("wait: {for: 90s}", {"for": 90.0}),
        ("wait: {until: 2026-03-01T06:00:00+01:00}", {"until": "2026-03-01T05:00:00.000000Z"}),
        ("wait: {until: '${{ inputs.t }}'}", {"until": "${{ inputs.t }}"}),
        (
            "wait: {signal: 'ready:${{ inputs.t }}', payload: {a: 1}, timeout: 3h, on_timeout: continue}",
            {
                "signal": "ready:${{ inputs.t }}",
                "payload": {"a": 1},
                "timeout": 10800.0,
                "on_timeout": "continue",
            },
        ),
    ],
)
def test_waits(written, read):
    spec = load_text(f"inputs: {{t: {{type: datetime}}}}\nsteps: {{a: {{{written}}}}}")
    assert spec.steps[0].wait == read
    assert spec.steps[0].with_ == {}


def test_approvals():
    spec = load_text(
        "steps:\n  a: {run: x}\n  b: {approve: {prompt: 'Publish ${{ steps.a.result.n }}?', timeout: 1d,"
        " form: {note: {type: string, required: false}}}}\n"
    )
    assert spec.steps[1].approve == {
        "prompt": "Publish ${{ steps.a.result.n }}?",
        "timeout": 86400.0,
        "form": {"note": {"type": "string", "required": False}},
    }
    assert spec.steps[1].needs == ("a",)


def test_cache_and_concurrency_are_filled_up():
    found = load_text(TASK + "    cache: {ttl: 1h}\n    concurrency: {group: g}").step("b")
    assert found.cache == {"scope": "run", "ttl": 3600.0}
    assert found.concurrency == {"group": "g", "limit": 1, "on_limit": "queue"}


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ("inputs: {a: {type: object, default: {day: ['${{ today() }}']}}}", 45),
        ("inputs: {a: {type: choice, options: [dev, '${{ run.name }}']}}", 44),
        (
            "inputs: {a: {type: date}}\nschedule: {cron: '* * * * *', inputs: {a: '${{ today() }}'}}",
            44,
        ),
    ],
)
def test_what_is_never_evaluated_holds_no_expression(refused_with, head, column):
    problem = refused_with(f"{head}\nsteps: {{a: {{run: x}}}}\n", "TRB136")
    assert problem.column == column


@pytest.mark.parametrize("action", ["task", "workflow"])
def test_an_input_as_a_whole_is_one_expression_and_keeps_its_type(refused_with, action):
    text = f"inputs: {{a: {{type: object}}}}\nsteps: {{a: {{{action}: t.v1, with: WITH}}}}\n"
    (step,) = load_text(text.replace("WITH", "' ${{ inputs.a }} '")).steps
    assert step.with_ == "${{ inputs.a }}"
    for value in ("${{ inputs.a }} and more", "${{ inputs.a }}${{ inputs.a }}", "a ${{ inputs.a }}", "a"):
        refused_with(text.replace("WITH", f"'{value}'"), "TRB108")


def test_items_that_are_choices_have_options(refused_with):
    text = "inputs: {{a: {{type: list, items: {}}}}}\nsteps: {{a: {{run: x}}}}\n"
    assert "options" in refused_with(text.format("choice"), "TRB140").hint
    assert load_text(text.format("{type: choice, options: [a]}")).inputs["a"].items.options == ("a",)
