"""R15: what completed is undone, the last first, when a run goes badly; and runs again on a retry."""

from __future__ import annotations

import pytest

SAGA = """
inputs: {fails: {type: string, default: pay}}
steps:
  hotel:
    task: u.book.v1
    with: {what: hotel}
    undo: {task: u.cancel.v1, with: {booking: "${{ steps.hotel.result }}"}}
  flight:
    needs: hotel
    task: u.book.v1
    with: {what: flight}
    undo: {task: u.cancel.v1, with: {booking: "${{ steps.flight.result }}"}}
  car: {needs: flight, task: u.book.v1, with: {what: car}}
  pay: {needs: car, task: u.pay.v1, with: {name: "${{ inputs.fails }}"}}
on_failure: {told: {task: u.note.v1, with: {text: "failed, ${{ steps.hotel.state }}"}}}
"""


def notes(lang, *words):
    path = lang.home / "bookings"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if not words or any(word in line for word in words)]


@pytest.fixture(autouse=True)
def _fresh(lang):
    (lang.home / "bookings").unlink(missing_ok=True)


def test_a_saga_takes_back_what_it_booked_in_reverse(lang):
    run = lang.run(SAGA, {"fails": "first"})
    assert run.state == "failed"
    assert notes(lang) == [
        "booked hotel", "booked flight", "booked car",
        "cancelled b-flight", "cancelled b-hotel", "failed, completed",
    ]  # fmt: skip
    assert {name: step.undone for name, step in run.steps.items() if step.hook is None} == {
        "hotel": True, "flight": True, "car": False, "pay": False,
    }  # fmt: skip
    undo = run.steps["undo:hotel"]
    assert (undo.state, undo.hook, undo.needs, undo.name) == (
        "completed", "undo", ("undo:flight",), "u.cancel.v1",
    )  # fmt: skip
    assert run.to_json()["steps"]["hotel"]["undone"] is True
    assert (run.warnings, run.error.step) == (0, "pay")


def test_what_was_undone_runs_again_on_a_retry_and_can_be_undone_again(lang):
    run = lang.run(SAGA, {"fails": "second"}).id
    told = {row.step: row.again for row in lang.client.retry_preview(run)}
    assert told == {"hotel": True, "flight": True, "car": True, "pay": True, "told": True}
    (lang.home / "bookings").unlink()
    lang.client.retry(run)
    again = lang.ended(run)
    assert again.state == "failed"
    assert notes(lang, "booked", "cancelled") == [
        "booked hotel", "booked flight", "booked car", "cancelled b-flight", "cancelled b-hotel",
    ]  # fmt: skip
    (lang.home / "bookings").unlink()
    lang.mend("second")
    lang.client.retry(run)
    good = lang.ended(run)
    assert (good.state, set(good.steps)) == ("completed", {"hotel", "flight", "car", "pay", "told"})
    assert notes(lang) == ["booked hotel", "booked flight", "booked car"], "in this order"
    assert not any(step.undone for step in good.steps.values())


def test_an_undo_that_fails_is_tried_again_then_a_warning_and_the_others_go_on(lang):
    run = lang.run("""
        steps:
          a:
            task: u.book.v1
            with: {what: a}
            undo: {task: u.cancel.v1, with: {booking: "${{ steps.a.result }}"}}
          b: {needs: a, task: u.book.v1, with: {what: b}, undo: {task: u.broken.v1}}
          c: {needs: b, task: u.pay.v1, with: {name: third}}
        """)
    assert (run.state, run.warnings) == ("failed", 1)
    broken = run.steps["undo:b"]
    assert (broken.state, broken.attempt, run.steps["b"].undone) == ("discarded", 2, False)
    assert (run.steps["undo:a"].state, run.steps["a"].undone) == ("completed", True)
    assert notes(lang, "cancelled") == ["cancelled b-a"]


def test_a_cancel_undoes_and_what_succeeds_does_not(lang):
    text = """
        steps:
          a:
            task: u.book.v1
            with: {what: x}
            undo: {task: u.cancel.v1, with: {booking: "${{ steps.a.result }}"}}
          b: {needs: a, wait: {signal: go}}
        on_cancel: {told: {task: u.note.v1, with: {text: "cancelled, ${{ run.state }}"}}}
        """
    cancelled = lang.start(text)
    lang.until(cancelled, "b", "waiting")
    lang.client.cancel(cancelled)
    assert lang.ended(cancelled).state == "cancelled"
    assert notes(lang) == ["booked x", "cancelled b-x", "cancelled, cancelled"]
    good = lang.start(text)
    lang.client.signal(good, "go")
    run = lang.ended(good)
    assert (run.state, [name for name in run.steps if name.startswith("undo")]) == ("completed", [])


def test_each_completed_item_is_undone_with_its_own_result(lang):
    run = lang.run("""
        steps:
          each:
            for_each: [one, two, broken]
            key: "${{ item }}"
            max_parallel: 1
            task: u.book.v1
            with: {what: "${{ item }}"}
            undo: {task: u.cancel.v1, with: {booking: "${{ steps.each.result }} of ${{ item }} ${{ index }}"}}
        """)
    assert (run.state, run.steps["each"].undone) == ("failed", True)
    assert notes(lang, "cancelled") == ["cancelled b-two of two 1", "cancelled b-one of one 0"]
    assert {"undo:each[one]", "undo:each[two]"} < set(run.steps)


def test_a_second_cancel_ends_the_undo(lang):
    run = lang.start("""
        steps:
          a: {task: u.book.v1, with: {what: y}, undo: {task: l.gate.v1, with: {name: undoing}}}
          b: {needs: a, task: u.pay.v1, with: {name: fourth}}
        """)
    lang.wait(lambda: "undo:a" in lang.states(run), 20, "it undoes")
    lang.until(run, "undo:a", "running")
    assert lang.client.get(run).ending == "failed"
    assert "undo" in lang.client.why(run).reasons[0].message
    lang.client.cancel(run)
    document = lang.ended(run)
    assert (document.state, document.steps["undo:a"].state, document.steps["a"].undone) == (
        "cancelled", "cancelled", False,
    )  # fmt: skip


def test_a_worker_that_dies_while_it_undoes_is_replaced(lang):
    run = lang.start("""
        steps:
          a:
            task: u.book.v1
            with: {what: z}
            undo: {task: u.dies.v1, with: {booking: "${{ steps.a.result }}"}}
          b: {needs: a, task: u.pay.v1, with: {name: fifth}}
        """)
    document = lang.ended(run, 60)
    assert (document.state, document.steps["undo:a"].state) == ("failed", "completed")
    assert document.steps["undo:a"].attempt == 2
    assert notes(lang, "dies") == ["dies b-z", "dies b-z"]


def test_a_paused_run_undoes_nothing_until_it_is_resumed(lang):
    run = lang.start("""
        steps:
          a:
            task: u.book.v1
            with: {what: p}
            undo: {task: u.cancel.v1, with: {booking: "${{ steps.a.result }}"}}
          b: {needs: a, approve: {prompt: Sure?}}
        """)
    lang.until(run, "b", "waiting")
    lang.client.pause(run)
    lang.client.reject(run, "b")
    lang.until(run, "undo:a", "waiting")
    assert lang.why(run, "undo:a").code == "paused"
    assert notes(lang, "cancelled") == []
    lang.client.resume(run)
    assert lang.ended(run).state == "failed"
    assert notes(lang, "cancelled") == ["cancelled b-p"]


def test_what_undoes_a_step_is_not_in_its_group(lang):
    run = lang.run("""
        steps:
          first: {task: u.book.v1, with: {what: g}}
          one:
            task: u.book.v1
            with: {what: one}
            concurrency: {group: "h-${{ steps.first.result }}", limit: 1, on_limit: reject}
            undo: {task: u.cancel.v1, with: {booking: "${{ steps.one.result }}"}}
          pay: {needs: one, task: u.pay.v1, with: {name: sixth}}
        """)
    assert (run.state, run.steps["undo:one"].state) == ("failed", "completed")
    assert notes(lang, "cancelled") == ["cancelled b-one"]
