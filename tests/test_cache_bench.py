"""Steps with a cache on the bench of tests: in Python, by items, under retries."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from tributary_daemon import Workflow, handler
from tributary_daemon.testing import Bench

calls: list[str] = []


class Text(BaseModel):
    """A payload that looks like an expression."""

    text: str


@handler("t.cached_text.v1")
def keep_text(args: Text) -> Text:
    calls.append(args.text)
    if args.text == "bad" and calls.count("bad") < 3:
        raise ValueError("not yet")
    return args


@pytest.fixture
def bench():
    calls.clear()
    with Bench() as made:
        yield made


def test_a_payload_of_python_is_taken_literally(bench):
    flow = Workflow("t.literal.v1").add("one", Text(text="${{ inputs.x }}"), cache={"scope": "global"})
    first, again = bench.run(flow), bench.run(flow)
    assert first.result == again.result == {"one": {"text": "${{ inputs.x }}"}}
    assert calls == ["${{ inputs.x }}"]
    assert again.steps["one"].reason == "cached"


def test_failures_are_tried_again_and_then_kept(bench):
    flow = Workflow("t.bad.v1").add("one", Text(text="bad"), cache={"scope": "global", "ttl": "1h"})
    assert bench.run(flow).steps["one"].attempt == 3
    assert bench.run(flow).steps["one"].reason == "cached"
    assert calls == ["bad"] * 3
    bench.advance("61m")
    assert bench.run(flow).steps["one"].reason is None


def test_a_skipped_step_asks_nobody_and_undo_is_done_each_time(bench):
    flow = (
        Workflow("t.saga.v1")
        .add(
            "one",
            Text(text="do"),
            cache={"scope": "global"},
            undo={"task": "t.cached_text.v1", "with": {"text": "undo"}},
        )
        .add("no", Text(text="never"), condition="false", cache={"scope": "global"})
        .add("end", "trib.fail.v1", {"message": "no"}, needs=["one"], max_attempts=1)
    )
    for _ in range(2):
        assert bench.run(flow).state == "failed"
    assert calls == ["do", "undo", "undo"]


def test_who_goes_past_the_cache_does_so_in_sub_workflows_too(bench, tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(
        "steps: {a: {workflow: child}}\n---\nname: child\n"
        "steps: {b: {task: t.cached_text.v1, with: {text: deep}, cache: {scope: global}}}\n"
    )
    for options, executed in (({}, 1), ({}, 1), ({"cache": False}, 2), ({}, 2)):
        assert bench.run(path, **options).state == "completed"
        assert calls == ["deep"] * executed
