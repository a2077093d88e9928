from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from tributary_daemon.cli import live, looks, records
from tributary_daemon.cli.blocks import Span, Table, plain
from tributary_daemon.cli.follow import changes
from tributary_daemon.cli.paint import paint


def _tight(text):
    """Return the lines with single spaces."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


NOW = datetime(2026, 11, 21, 4, 0, 2, tzinfo=UTC)


def _shown(blocks):
    stream = io.StringIO()
    paint(blocks, stream)
    return stream.getvalue()


def test_a_failed_run_shows_tree_error_and_what_to_type_next(a_run, a_step, an_error):
    bad = an_error("no stock", step="pick")
    text = _shown(
        records.status(
            a_run(
                {
                    "pay": a_step(),
                    "pick": a_step("pay", state="discarded", attempt=3, error=bad),
                    "mail": a_step(
                        "pay", state="discarded", attempt=3, error=an_error("bounced"), optional=True
                    ),
                    "ship": a_step("pick", state="skipped", reason="upstream"),
                },
                state="failed",
                error=bad,
            ),
            NOW,
        )
    )
    assert "shop.order.v1" in text
    assert "labels    env=prod" in text
    assert '{"amount": 3}' in text
    assert "├─ ✘ pick 1.2s discarded attempt 3/3 ValueError: no stock" in _tight(text)
    assert "bounced  tolerated" in text
    assert "│ └─ ↷ ship skipped\n" in _tight(text)
    assert "trib retry" in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_failed_work_of_trib_run_is_retried_by_any_worker(a_run, a_step, an_error):
    bad = an_error("no stock", step="a")
    run = a_run({"a": a_step(state="discarded", queue="@1f", error=bad)}, state="failed", error=bad)
    told = f"next    trib retry {run['id']}   runs the failed steps again, by any worker"
    assert told in _shown(records.status(run, NOW))


def test_a_workflow_function_that_has_undone_something_is_run_anew_other_work_is_retried(
    a_run, a_step, an_error
):
    bad = an_error("no car")
    main = {"main": a_step(state="discarded", error=bad), "hotel": a_step("main")}
    function = a_run({**main, "undo:give_back": a_step(hook="undo")}, state="failed", error=bad)
    told = f"next    trib rerun {function['id']}   starts it anew: what it had done is undone"
    assert told in _shown(records.status(function, NOW))
    file = a_run({**main, "undo:hotel": a_step(hook="undo")}, state="failed", error=bad)
    assert f"next    trib retry {file['id']}   runs the failed steps again" in _shown(
        records.status(file, NOW)
    )


def test_a_completed_run_shows_its_result(a_run, a_step):
    text = _shown(records.status(a_run({"a": a_step()}, state="completed", result={"total": 3}), NOW))
    assert text.endswith('result  {"total": 3}\n')
    assert "trib retry" not in text


def test_a_long_result_takes_a_line_per_member(a_run, a_step):
    result = {f"report_{number}": f"/srv/out/report_{number}.json" for number in range(3)}
    text = _shown(records.status(a_run({"a": a_step()}, state="completed", result=result), NOW))
    assert 'result  {\n          "report_0": "/srv/out/report_0.json",\n' in text
    assert text.endswith("\n        }\n")


def test_a_running_run_shows_no_end(a_run, a_step):
    text = _shown(
        records.status(a_run({"a": a_step(state="running"), "b": a_step("a", state="blocked")}), NOW)
    )
    assert "● a 2.0s running" in _tight(text)
    assert "result" not in text
    assert "next" not in text


def test_a_blocked_step_names_the_needs_that_the_tree_cannot_show(a_run, a_step):
    steps = {f"s{number}": a_step() for number in range(6)}
    steps["join"] = a_step(*steps, state="blocked")
    text = _shown(records.status(a_run(steps), NOW))
    assert "after s0, s1, s2 +3" in text


def test_a_step_waiting_for_its_retry_says_when_and_why(a_run, a_step, an_error):
    due = (NOW + timedelta(seconds=30)).isoformat()
    steps = {"a": a_step(state="scheduled", attempt=1, run_at=due, error=an_error("flaky"), reason="retry")}
    text = _shown(records.status(a_run(steps), NOW))
    assert "attempt 1/3 (retry) in 30.0s ValueError: flaky" in _tight(text)


def test_an_intent_shows_its_attempts(an_error):
    document = {
        "id": "0198a000-0000-7000-8000-00000abcdef0",
        "kind": "intent",
        "name": "content.thumbnail.v1",
        "state": "discarded",
        "payload": {"width": 3},
        "error": an_error("no image"),
        "attempt": 2,
        "max_attempts": 2,
        "queue": "media",
        "created_at": "2026-11-21T04:00:00.000000Z",
        "started_at": "2026-11-21T04:00:00.000000Z",
        "finished_at": "2026-11-21T04:00:01.200000Z",
        "attempts": [
            {
                "attempt": number,
                "outcome": outcome,
                "error": an_error("no image"),
                "started_at": "2026-11-21T04:00:00.000000Z",
                "finished_at": "2026-11-21T04:00:00.500000Z",
                "worker": "w1",
            }
            for number, outcome in ((1, "retry"), (2, "discarded"))
        ],
    }
    text = _shown(records.status(document, NOW))
    assert "attempt   2 of 2" in text
    assert text.count("ValueError: no image") == 3
    assert "500ms" in text
    assert "tries it again" in text
    text = _shown(records.status({**document, "reason": "workflow_function"}, NOW))
    assert "next    trib submit content.thumbnail.v1   starts it as a workflow" in text


def test_what_a_handler_wrote_cannot_steer_the_terminal(a_run, a_step, an_error):
    steps = {"a": a_step(state="discarded", error=an_error("\x1b[2Jgone\x07"))}
    text = _shown(records.status(a_run(steps, state="failed"), NOW))
    assert "\x1b" not in text
    assert "\\x1b[2Jgone\\x07" in text


def test_an_empty_table_says_so():
    assert _shown([Table(("a",), (), empty="no workers")]) == "no workers\n"


def test_without_a_terminal_nothing_is_cut():
    long = "x" * 3_000
    assert long in _shown([Table(("a", "b"), ((Span(long), Span("y")),))])


def test_changes_tell_each_new_state_once(a_run, a_step, an_error):
    first = a_run({"a": a_step(state="running"), "b": a_step("a", state="blocked")})
    lines = [plain(line) for line in changes({}, first)]
    assert [line.split("  ", 1)[1].split() for line in lines] == [
        ["running", "shop.order.v1", "0abcdef0"],
        ["running", "a"],
    ]
    assert changes(first, first) == []
    then = a_run(
        {"a": a_step(), "b": a_step("a", state="discarded", attempt=2, error=an_error())}, state="failed"
    )
    assert [plain(line).split()[1:3] for line in changes(first, then)] == [
        ["completed", "a"],
        ["discarded", "b"],
        ["failed", "shop.order.v1"],
    ]
    assert plain(changes(first, then)[1]).endswith("attempt 2  ValueError: no stock")


def test_the_live_tree_of_many_steps_keeps_the_urgent_ones(a_run, a_step):
    steps = {f"s{number}": a_step(state="blocked") for number in range(100)}
    steps["s50"] = a_step(state="running")
    steps["s70"] = a_step(state="discarded")
    steps["reindex"] = a_step(state="running")
    lines = [plain(line) for line in live.lines(a_run(steps), 10)]
    assert len({line.index("running") for line in lines if " s50 " in line or " reindex " in line}) == 1
    assert len(lines) == 11
    assert any(" s50 " in line for line in lines)
    assert any(" s70 " in line for line in lines)
    assert lines[-1] == "… 92 more steps"
    assert "1/101 steps" in lines[0]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.34, "340ms ago"), (192, "3m12s ago"), (-45, "in 45.0s"), (-90, "in 1m30s")]
)
def test_times_beside_now(seconds, text):
    assert looks.ago((NOW - timedelta(seconds=seconds)).isoformat(), NOW) == text


def test_every_state_has_a_glyph_and_a_style():
    for state in looks.GLYPHS:
        assert state in looks.STYLES
        assert looks.glyph(state, unicode=False).isascii()
