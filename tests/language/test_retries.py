"""Retry from here: which steps run again, and which keep their results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tributary_daemon import errors

DIAMOND = """
        steps:
          a: {task: trib.noop.v1, with: {n: 1}}
          b: {task: l.flaky.v1, with: {name: NAME}, needs: a}
          c: {task: trib.noop.v1, needs: a}
          d: {task: trib.noop.v1, needs: [b, c]}
          e: {task: trib.noop.v1, needs: c}
          f: {task: trib.noop.v1, needs: d, if: "false"}
        finally: {last: {task: trib.noop.v1}}
        """

WAITING = (
    "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
)


def began(lang, name):
    return [noted for noted in lang.notes() if noted == ("began", name)]


def attempts(run):
    return {step.id: step.attempt for step in run.steps.values()}


def again(lang, run, **named):
    return {row.step if row.item is None else f"{row.step}[{row.item}]"
            for row in lang.client.retry_preview(run.id, **named) if row.again}  # fmt: skip


def test_from_a_step_all_below_runs_again_and_only_leaves_what_completed(lang):
    lang.mend("diamond")
    run = lang.run(DIAMOND.replace("NAME", "diamond"))
    assert run.state == "completed"
    assert again(lang, run, from_step="b") == {"b", "d", "f", "last"}
    lang.client.retry(run.id, "b")
    run = lang.ended(run.id)
    assert attempts(run) == {"a": 1, "b": 2, "c": 1, "d": 2, "e": 1, "f": 2, "last": 2}
    assert again(lang, run, only="c") == {"c", "last"}
    lang.client.retry_only(run.id, "c")
    run = lang.ended(run.id)
    assert run.state == "completed"
    assert attempts(run) == {"a": 1, "b": 2, "c": 2, "d": 2, "e": 1, "f": 2, "last": 3}


def test_only_takes_along_what_was_skipped_because_of_it(lang):
    run = lang.run(DIAMOND.replace("NAME", "broken"))
    assert (run.state, run.steps["d"].state) == ("failed", "skipped")
    assert again(lang, run) == again(lang, run, only="b") == {"b", "d", "f", "last"}
    lang.mend("broken")
    lang.client.retry_only(run.id, "b")
    run = lang.ended(run.id)
    assert (run.state, run.steps["d"].state, run.steps["f"].reason) == ("completed", "completed", "condition")
    assert attempts(run)["a"] == attempts(run)["c"] == attempts(run)["e"] == 1


@pytest.mark.parametrize("only", [None, "a"])
def test_a_step_skipped_by_its_condition_is_decided_anew(lang, only):
    name = f"decided-{only}"
    run = lang.run(
        f"""
        steps:
          a: {{task: l.flaky.v1, with: {{name: {name}}}}}
          beside: {{task: trib.noop.v1, if: "false"}}
          good: {{task: trib.noop.v1, needs: a, if: "always() && steps.a.state == 'completed'"}}
          below: {{task: trib.noop.v1, needs: good, if: "steps.good.state == 'completed'"}}
          kept: {{task: trib.noop.v1, needs: good}}
        """
    )
    assert (run.state, run.steps["good"].reason, run.steps["below"].reason) == (
        "failed",
        "condition",
        "condition",
    )
    assert again(lang, run, only=only) == {"a", "good", "below"}
    lang.mend(name)
    lang.client.retry_only(run.id, "a") if only else lang.client.retry(run.id)
    run = lang.ended(run.id)
    assert run.state == "completed"
    assert (run.steps["good"].state, run.steps["below"].state) == ("completed", "completed")
    assert (run.steps["kept"].attempt, run.steps["beside"].reason) == (1, "condition")


def test_a_fan_out_whose_list_is_made_again_runs_as_a_whole(lang):
    run = lang.run(
        """
        steps:
          list: {task: l.flaky.v1, with: {name: listed}}
          fan:
            for_each: ${{ steps.list.state == 'completed' && fromJSON('[1, 2, 3]') || fromJSON('[0]') }}
            if: always()
            task: trib.fail.v1
            with: {times: "${{ item == 0 && 9 || 0 }}"}
            max_attempts: 1
        """
    )
    assert run.steps["fan"].items == {"discarded": 1}
    lang.mend("listed")
    lang.client.retry(run.id)
    run = lang.ended(run.id)
    assert (run.state, run.steps["fan"].items) == ("completed", {"completed": 3})


def test_one_item_runs_again_and_the_results_are_gathered_anew(lang):
    run = lang.run(
        """
        steps:
          fan:
            for_each: [1, 2, 3]
            key: "k${{ item }}"
            task: trib.noop.v1
            with: {n: "${{ item }}"}
            aggregate: {task: l.add.v1, with: {numbers: "${{ steps.fan.items.*.result.n }}"}}
          below: {task: trib.noop.v1, with: {sum: "${{ steps.fan.result }}"}}
        """
    )
    assert run.steps["below"].result == {"sum": 6}
    assert again(lang, run, only="fan[k2]") == {"fan", "fan[k2]"}
    lang.client.retry_only(run.id, "fan[k2]")
    run = lang.ended(run.id)
    assert (run.state, run.steps["fan"].result, run.steps["below"].attempt) == ("completed", 6, 1)
    assert {item.key: item.attempt for item in lang.client.items(run.id, "fan")} == {
        "k1": 1,
        "k2": 2,
        "k3": 1,
    }
    lang.client.retry_only(run.id, "fan")
    run = lang.ended(run.id)
    assert (run.state, run.steps["fan"].result) == ("completed", 6)
    assert {item.attempt for item in lang.client.items(run.id, "fan")} == {1}


def test_a_retry_keeps_what_runs_at_once_within_its_bounds(lang):
    work = "task: l.tries.v1, with: {name: "
    run = lang.run(
        f"""
        max_parallel: 2
        steps:
          a: {{{work}bounded}}}}
          b: {{{work}bounded}}}}
          c: {{{work}bounded}}}}
          fan: {{for_each: [1, 2, 3], max_parallel: 1, fail_fast: false, {work}bounded_item}}}}
        """
    )
    assert (run.state, run.steps["fan"].items) == ("failed", {"discarded": 3})
    lang.mend("bounded")
    lang.mend("bounded_item")
    lang.client.retry(run.id)
    lang.wait(lambda: len(began(lang, "bounded")) == 2, 20, lang.notes)
    held = [step.state for step in lang.client.get(run.id).steps.values() if step.id != "fan"]
    held += [item.state for item in lang.client.items(run.id, "fan")]
    assert held.count("running") + held.count("available") == 2
    lang.open("bounded")
    lang.wait(lambda: len(began(lang, "bounded_item")) == 1, 20, lang.notes)
    assert [item.state for item in lang.client.items(run.id, "fan")].count("blocked") == 2
    lang.open("bounded_item")
    run = lang.ended(run.id)
    assert (run.state, run.steps["fan"].items) == ("completed", {"completed": 3})


def test_a_failure_that_was_tolerated_is_a_warning_after_a_retry_too(lang):
    run = lang.run(
        """
        steps:
          tolerated: {task: trib.fail.v1, max_attempts: 1, continue_on_error: true}
          bad: {task: l.flaky.v1, with: {name: warned}}
        """
    )
    assert (run.state, run.warnings) == ("failed", 1)
    lang.mend("warned")
    lang.client.retry(run.id)
    run = lang.ended(run.id)
    assert (run.state, run.warnings, attempts(run)) == ("completed", 1, {"tolerated": 1, "bad": 2})


def test_items_that_are_forgotten_leave_nothing_that_pruning_would_not_find(lang):
    run = lang.run("steps: {fan: {for_each: [1, 2], task: l.flaky.v1, with: {name: forgotten}}}")
    assert run.state == "failed"
    lang.mend("forgotten")
    lang.client.retry(run.id, "fan")
    assert lang.ended(run.id).state == "completed"
    for table in ("attempts", "progress", "dead_letters"):
        orphans = lang.one(
            f"""select count(*) from tributary.{table} t where t.run_id = %s and not exists (
                    select from tributary.steps s where s.run_id = t.run_id and s.ordinal = t.ordinal)""",
            run.id,
        )
        assert orphans == (0,), table


def test_what_cannot_be_retried_is_refused_by_name(lang):
    run = lang.start(
        "steps: {work: {task: l.gate.v1, with: {name: retried}}, bad: {task: trib.fail.v1, max_attempts: 1}}"
    )
    lang.until(run, "work", "running")
    with pytest.raises(errors.NotPossible, match="has not ended"):
        lang.client.retry_only(run, "work")
    lang.open("retried")
    lang.ended(run)
    with pytest.raises(errors.NotFound, match="has no step 'nobody'"):
        lang.client.retry_preview(run, only="nobody")
    with pytest.raises(errors.NotFound, match=r"has no item 'work\[1\]'"):
        lang.client.retry_only(run, "work[1]")
    fan = lang.run(
        """
        steps:
          fan:
            for_each: [1]
            task: trib.noop.v1
            max_attempts: 2
            aggregate: {task: trib.noop.v1, with: {n: 1}}
        """
    )
    with pytest.raises(errors.NotFound, match=r"has no item 'fan\[aggregate\]'"):
        lang.client.retry_only(fan.id, "fan[aggregate]")
    assert lang.client.get(run).state == "failed"


def test_a_run_of_a_group_asks_for_its_slot_again(lang):
    text = """
        concurrency: {group: retried, on_limit: queue}
        steps: {work: {task: l.flaky.v1, with: {name: grouped}}}
        """
    run = lang.run(text)
    assert run.state == "failed"
    holder = lang.start(text.replace("l.flaky.v1", "l.gate.v1").replace("name: grouped", "name: holder"))
    lang.until(holder, "work", "running")
    lang.mend("grouped")
    lang.client.retry(run.id)
    assert lang.client.get(run.id).state == "waiting"
    lang.open("holder")
    assert lang.ended(run.id).state == "completed"


def test_rerun_takes_the_stored_revision_or_the_latest(lang):
    path = lang.home / "latest.yaml"
    path.write_text("name: latest.v1\nsteps: {a: {task: trib.noop.v1, with: {n: 1}}}")
    with pytest.raises(errors.NotFound, match=r"no workflow named 'latest\.v1' is registered"):
        lang.client.rerun(str(lang.client.submit(str(path)).id), latest=True)
    lang.client.register(str(path))
    first = str(lang.client.submit("latest.v1").id)
    path.write_text("name: latest.v1\nsteps: {a: {task: trib.noop.v1, with: {n: 2}}}")
    lang.client.register(str(path))
    assert lang.ended(str(lang.client.rerun(first).id)).steps["a"].result == {"n": 1}
    assert lang.ended(str(lang.client.rerun(first, latest=True).id)).steps["a"].result == {"n": 2}


def test_a_sub_workflow_that_runs_again_is_another_child(lang):
    run = lang.run(
        "name: mother.v1\nsteps: {sub: {workflow: daughter.v1}, below: {task: trib.noop.v1, needs: sub}}\n"
        "---\nname: daughter.v1\nsteps: {a: {task: trib.noop.v1, with: {n: 1}}}"
    )
    first = run.steps["sub"].child
    lang.client.retry_only(run.id, "sub")
    run = lang.ended(run.id)
    assert (run.state, attempts(run)) == ("completed", {"sub": 2, "below": 1})
    assert run.steps["sub"].child != first
    assert {lang.client.get(child).state for child in (first, run.steps["sub"].child)} == {"completed"}


def test_of_two_retries_at_once_one_wins(lang):
    run_id = lang.start("steps: {work: {task: l.gate.v1, with: {name: twice}}}")
    lang.until(run_id, "work", "running")
    lang.client.cancel(run_id)
    run = lang.ended(run_id)
    # the gate stays shut, so that the first retry has not ended when the second looks
    with psycopg.connect(lang.url) as first, ThreadPoolExecutor(1) as pool:
        first.execute("select tributary.retry_only(%s, '{work}')", [run.id])
        second = pool.submit(lang.client.retry_only, run.id, "work")
        try:
            lang.wait(
                lambda: lang.one(WAITING)[0] == 1,
                10, "the second waits for the first",
            )  # fmt: skip
        finally:
            first.commit()
        refused = second.exception(20)
    assert isinstance(refused, errors.NotPossible), refused
    lang.open("twice")
    assert attempts(lang.ended(run.id)) == {"work": 2}


def fan_out_of_flaky_items(lang, prefix):
    return lang.run(
        f"""
        steps:
          fan:
            for_each: [one, two, three]
            fail_fast: false
            task: l.flaky.v1
            with: {{name: "{prefix}-${{{{ item }}}}"}}
          last: {{task: trib.noop.v1, with: {{got: "${{{{ steps.fan.result }}}}"}}}}
        """
    )


def test_r16_a_requeued_fan_out_runs_all_items_where_all_have_failed(lang):
    run = fan_out_of_flaky_items(lang, "all")
    assert run.state == "failed"
    for name in ("one", "two", "three"):
        lang.mend(f"all-{name}")
    lang.client.requeue(f"{run.id}/fan")
    assert lang.ended(run.id).state == "completed"
    assert {item.attempt for item in lang.client.items(run.id, "fan")} == {2}


@pytest.mark.parametrize("by", ["filter", "item"])
def test_r16_a_requeued_fan_out_runs_the_items_that_failed_and_no_other(lang, by):
    for name in ("one", "three"):
        lang.mend(f"{by}-{name}")
    run = fan_out_of_flaky_items(lang, by)
    assert run.state == "failed"
    lang.mend(f"{by}-two")
    if by == "filter":
        # the item, and the fan-out, which tells of it
        assert lang.client.requeue_many(kind="run", error="filter-two is broken").done == 2
    else:
        lang.client.requeue([f"{run.id}/fan[1]", f"{run.id}/fan"])
    run = lang.ended(run.id)
    assert run.steps["last"].result == {"got": [f"{by}-one", f"{by}-two", f"{by}-three"]}
    assert [item.attempt for item in lang.client.items(run.id, "fan")] == [1, 2, 1]
