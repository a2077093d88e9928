"""R16: fan-outs as they run."""

from __future__ import annotations

from tributary_daemon.store import runs


def test_r16_the_result_is_the_ordered_list_and_items_are_addressable(lang):
    run = lang.run(
        """
        inputs: {names: {type: list}}
        steps:
          fan:
            for_each: ${{ inputs.names }}
            key: ${{ item.id }}
            task: trib.noop.v1
            with: {name: "${{ item.id }}", place: "${{ index }}"}
          reads:
            task: trib.noop.v1
            with:
              second: ${{ steps.fan.items[1].result.name }}
              all: ${{ steps.fan.items.*.result.place }}
              state: ${{ steps.fan.items[0].state }}
              item: ${{ steps.fan.items[2].item.id }}
              whole: ${{ steps.fan.result[2].name }}
        """,
        {"names": [{"id": "a"}, {"id": "b"}, {"id": "c"}]},
    )
    assert run.steps["reads"].result == {
        "second": "b", "all": [0, 1, 2], "state": "completed", "item": "c", "whole": "c",
    }  # fmt: skip
    assert run.steps["fan"].items == {"completed": 3}
    assert set(run.steps) == {"fan", "reads"}
    items = lang.client.items(run.id, "fan")
    assert [(item.key, item.index, item.item["id"], item.state, item.result["name"]) for item in items] == [
        ("a", 0, "a", "completed", "a"), ("b", 1, "b", "completed", "b"), ("c", 2, "c", "completed", "c"),
    ]  # fmt: skip


def test_r16_an_empty_list_completes_with_an_empty_list(lang):
    run = lang.run(
        """
        steps:
          none: {for_each: [], task: trib.noop.v1}
          sum:
            for_each: []
            task: trib.noop.v1
            aggregate: {task: l.add.v1, with: {numbers: "${{ steps.sum.items.*.result }}"}}
          below: {task: trib.noop.v1, with: {n: "${{ length(steps.none.result) }}"}}
        """
    )
    assert run.state == "completed"
    assert (run.steps["none"].result, run.steps["sum"].result) == ([], 0)
    assert run.steps["below"].result == {"n": 0}


def test_r16_a_matrix_has_every_combination_but_the_excluded_and_the_included(lang):
    run = lang.run(
        """
        steps:
          m:
            matrix:
              size: [small, large]
              zone: "${{ fromJSON('[1, 2]') }}"
              exclude: [{size: small, zone: 2}]
              include: [{size: large, zone: 1, fast: true}, {size: huge}]
            task: trib.noop.v1
            with: {at: "${{ matrix.size }}-${{ matrix.zone ?? 'any' }}-${{ matrix.fast ?? false }}"}
        """
    )
    assert [each["at"] for each in run.steps["m"].result] == [
        "small-1-false", "large-1-true", "large-2-false", "huge-any-false",
    ]  # fmt: skip


def test_r16_a_condition_is_asked_once_or_per_item(lang):
    run = lang.run(
        """
        steps:
          once: {for_each: [1, 2], if: "false", task: trib.noop.v1}
          each: {for_each: [1, 2, 3], if: item != 2, task: trib.noop.v1, with: {n: "${{ item }}"}}
          place: {for_each: [5, 6], if: index > 0, task: trib.noop.v1, with: {n: "${{ item }}"}}
          axis: {matrix: {x: [1, 2]}, if: matrix.x == 1, task: trib.noop.v1, with: {n: "${{ matrix.x }}"}}
        """
    )
    assert (run.steps["once"].state, run.steps["once"].result) == ("skipped", None)
    assert run.steps["each"].result == [{"n": 1}, None, {"n": 3}]
    assert run.steps["each"].items == {"completed": 2, "skipped": 1}
    assert run.steps["place"].result == [None, {"n": 6}]
    assert run.steps["axis"].result == [{"n": 1}, None]
    assert run.warnings == 0


def test_r16_tolerated_items_are_null_and_warnings(lang):
    run = lang.run(
        """
        steps:
          some:
            for_each: [a, b, c, d]
            task: trib.fail.v1
            with: {times: "${{ item == 'b' && 9 || 0 }}"}
            max_attempts: 1
            tolerate: 1
          share:
            for_each: [a, b, c, d, e]
            task: trib.fail.v1
            with: {times: "${{ item == 'b' && 9 || 0 }}"}
            max_attempts: 1
            tolerate: 10%
            fail_fast: false
        """
    )
    assert (run.state, run.warnings) == ("failed", 2)
    assert run.steps["some"].state == "completed"
    assert [result is None for result in run.steps["some"].result] == [False, True, False, False]
    error = run.steps["share"].error
    assert (error.type, error.reason) == ("ItemsFailed", "items")
    assert "1 of 5 items failed: 1" in error.message
    assert run.steps["share"].items == {"completed": 4, "discarded": 1}


def test_r16_items_of_a_step_whose_failure_is_tolerated_are_no_dead_letters(lang):
    run = lang.run(
        """
        steps:
          fan: {for_each: [1, 2], task: trib.fail.v1, max_attempts: 1, continue_on_error: true}
          below: {task: trib.noop.v1, needs: fan}
        """
    )
    assert (run.state, run.steps["fan"].state, run.steps["below"].state) == (
        "completed",
        "discarded",
        "completed",
    )
    assert run.warnings > 0
    assert lang.one("select count(*) from tributary.dead_letters where run_id = %s", run.id) == (0,)


def test_r16_past_what_is_tolerated_nothing_new_starts_and_the_rest_is_cancelled(lang):
    run = lang.run(
        """
        steps:
          fan:
            for_each: [bad, slow, waits, waits_too]
            key: ${{ item }}
            task: ${{ 'x' }}
        """.replace("${{ 'x' }}", "l.flaky.v1")
        + """
            with: {name: "${{ item }}"}
            max_parallel: 1
          below: {task: trib.noop.v1, needs: fan}
        """
    )
    assert run.steps["fan"].items == {"discarded": 1, "cancelled": 3}
    assert "1 of 4 items failed: bad; 3 more were cancelled" in run.steps["fan"].error.message
    assert run.steps["below"].state == "skipped"
    # a retry runs failed items only, here those that were cancelled, too
    for name in ("bad", "slow", "waits", "waits_too"):
        lang.mend(name)
    lang.client.retry(run.id)
    again = lang.ended(run.id)
    assert again.state == "completed"
    assert again.steps["fan"].result == ["bad", "slow", "waits", "waits_too"]
    attempts = {item.key: item.attempt for item in lang.client.items(run.id, "fan")}
    assert attempts == {"bad": 2, "slow": 1, "waits": 1, "waits_too": 1}


def test_r16_a_retry_leaves_items_that_completed_alone(lang):
    run = lang.run(
        """
        steps:
          fan:
            for_each: [lone, trib]
            key: ${{ item }}
            task: l.flaky.v1
            with: {name: "${{ item == 'lone' && 'lone' || 'always' }}"}
            fail_fast: false
        """
    )
    assert run.state == "failed"
    lang.mend("always")
    lang.client.retry(run.id)
    assert lang.ended(run.id).state == "failed"
    lang.mend("lone")
    lang.client.retry(run.id)
    assert lang.ended(run.id).steps["fan"].result == ["lone", "always"]
    assert {item.key: item.attempt for item in lang.client.items(run.id, "fan")} == {"lone": 3, "trib": 2}


def test_r16_max_parallel_bounds_items_and_steps_of_a_run(lang):
    run = lang.start(
        """
        max_parallel: 3
        steps:
          fan:
            for_each: [p1, p2, p3, p4, p5]
            task: l.gate.v1
            with: {name: "${{ item }}"}
            max_parallel: 2
          a: {task: l.gate.v1, with: {name: pa}}
          b: {task: l.gate.v1, with: {name: pb}}
        """
    )
    began = lambda: {name for word, name in lang.notes() if word == "began" and name.startswith("p")}  # noqa: E731
    lang.wait(lambda: len(began()) == 3, 20, began)
    assert {"pa", "pb"} <= began()
    codes = {reason.code for reason in lang.client.why(run, "fan").reasons}
    assert codes == {"items"}
    (told,) = lang.client.why(run, "fan[4]").reasons
    assert (told.step, told.code) == ("fan[4]", "max_parallel")
    lang.open("pa")
    lang.open("pb")
    lang.wait(lambda: len(began()) == 4, 20, began)
    for name in ("p1", "p2", "p3", "p4", "p5"):
        lang.open(name)
    assert lang.ended(run).steps["fan"].result == ["p1", "p2", "p3", "p4", "p5"]


def test_r16_an_aggregate_makes_one_result_of_all(lang):
    run = lang.run(
        """
        steps:
          sum:
            for_each: [1, 2, 3, 4]
            task: trib.noop.v1
            with: {n: "${{ item }}"}
            aggregate: {task: l.add.v1, with: {numbers: "${{ steps.sum.items.*.result.n }}"}}
          bad:
            for_each: [1]
            task: trib.noop.v1
            aggregate: {task: trib.fail.v1}
            max_attempts: 1
        """
    )
    assert run.steps["sum"].result == 10
    assert (run.steps["bad"].state, run.steps["bad"].error.reason) == ("discarded", "aggregate")


def test_what_is_no_list_and_keys_that_are_not_unique_fail_the_step_by_name(lang):
    run = lang.run(
        """
        steps:
          source: {task: trib.noop.v1, with: {text: abc}}
          text: {for_each: "${{ steps.source.result.text }}", task: trib.noop.v1}
          twins: {for_each: [a, b], key: same, task: trib.noop.v1}
        """
    )
    assert "for_each must be a list, not text" in run.steps["text"].error.message
    assert "items 0 and 1 have the same key 'same'" in run.steps["twins"].error.message
    assert run.state == "failed"


def test_ten_thousand_items_are_one_statement_and_stay_readable(lang):
    run = lang.ended(
        lang.start(
            """
            steps:
              fan: {for_each: "${{ range(10000) }}", task: trib.noop.v1, with: {n: "${{ item }}"}}
              last:
                task: trib.noop.v1
                with: {n: "${{ steps.fan.result[9999].n }}", count: "${{ length(steps.fan.items) }}"}
            """
        ),
        120,
    )
    assert run.steps["last"].result == {"n": 9999, "count": 10000}
    assert run.steps["fan"].items == {"completed": 10000}
    counted = lang.one(
        "select count(*), min(attempt), max(attempt) from tributary.steps"
        " where run_id = %s and flags & 256 = 256",
        run.id,
    )
    assert counted == (10000, 1, 1)


def test_r16_a_matrix_of_ten_thousand_is_ordered_and_each_of_it_addressable(lang):
    run = lang.start(
        """
        steps:
          pairs:
            matrix: {a: "${{ range(100) }}", b: "${{ range(100) }}"}
            task: trib.noop.v1
            with: {sum: "${{ matrix.a + matrix.b }}"}
        """
    )
    done = lang.ended(run, timeout=120)
    assert done.state == "completed"
    assert done.steps["pairs"].result == [{"sum": a + b} for a in range(100) for b in range(100)]
    items = lang.client.items(run, "pairs")
    assert [item.key for item in items[:2]] != [item.key for item in items[-2:]]
    assert (len(items), items[-1].result, {item.attempt for item in items}) == (10_000, {"sum": 198}, {1})
    asked = next(runs.items(run, "pairs"))
    ((plan,),) = lang.sql.execute("explain (analyze, buffers, format json) " + asked.sql, asked.params)
    read = plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"]
    assert read < 20 * len(items), "each is looked up by itself"
