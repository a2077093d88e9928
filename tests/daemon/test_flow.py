"""Runs of workflows, queues, names and wake-ups with one shared worker."""

from __future__ import annotations

import json
import threading

import psycopg
import pytest

ORDER = """\
name: shop.flow.v1
inputs: {amount: {type: integer}}
steps:
  price: {task: trib.noop.v1, with: {cents: "${{ inputs.amount }}"}}
  gift: {task: trib.fail.v1, with: {message: "no gift"}, max_attempts: 1, continue_on_error: true}
  pay: {task: t.note.v1, needs: gift, with: {cents: "${{ steps.price.result.cents }}"}}
result: {paid: "${{ steps.pay.result.cents }}"}
"""
MISSING = """\
name: shop.missing.v1
steps:
  a: {task: trib.noop.v1, with: {x: 1}}
  b: {task: trib.noop.v1, with: {y: "${{ steps.a.result.nothing }}"}}
  c: {task: trib.noop.v1, needs: b}
"""


def test_results_are_passed_along_and_a_tolerated_failure_stops_nothing(shared):
    run = shared.run(ORDER, {"amount": 5})
    shared.until_run(run, "completed")
    result, warnings = shared.one("select result, warnings from tributary.runs where run_id = %s", run)
    assert (result, warnings) == ({"paid": 5}, 1)


def test_a_missing_path_discards_the_step_and_what_needs_it_is_skipped(shared):
    run = shared.run(MISSING)
    shared.until_run(run, "failed")
    states = [shared.row(run, ordinal)[::2] for ordinal in (1, 2, 3)]
    assert [state for state, _ in states] == ["completed", "discarded", "skipped"]
    assert states[1][1] == "expression"
    assert states[2][1] == "upstream"
    assert "nothing" in shared.errors(run)[0][3]


def test_a_registered_workflow_starts_from_plain_sql(shared):
    path = shared.home / "flow.yaml"
    path.write_text(ORDER)
    shared.register(path)
    run = str(shared.one("select tributary.submit_workflow('shop.flow.v1', '{\"amount\": 9}')")[0])
    shared.until_run(run, "completed")
    assert shared.one("select result from tributary.runs where run_id = %s", run)[0] == {"paid": 9}


def test_no_child_starts_before_its_parents_ended(shared):
    width, depth = 10, 10
    lines = ["name: shop.grid.v1", "steps:"]
    for level in range(depth):
        needs = "" if level == 0 else f", needs: [{', '.join(f's{level - 1}x{n}' for n in range(width))}]"
        lines += [f"  s{level}x{n}: {{task: trib.noop.v1{needs}}}" for n in range(width)]
    runs = [shared.run("\n".join(lines) + "\n") for _ in range(3)]
    for run in runs:
        shared.until_run(run, "completed", timeout=40)
    early = shared.one(
        "select count(*) from tributary.edges e"
        " join tributary.steps p on p.run_id = e.run_id and p.ordinal = e.parent"
        " join tributary.steps c on c.run_id = e.run_id and c.ordinal = e.child"
        " where e.run_id = any(%s::uuid[]) and c.started_at < p.finished_at",
        runs,
    )
    assert early == (0,)


def test_a_submit_in_an_open_transaction_wakes_an_idle_worker_at_its_commit(shared, record_property):
    delays = []
    for _ in range(7):
        with psycopg.connect(shared.url) as other:
            run = str(other.execute("select tributary.submit_intent('t.note.v1')").fetchone()[0])
            other.execute("select pg_sleep(0.05)")
            # the commit itself is part of what is measured: its end is known to nobody but the server
            committed = other.execute("select clock_timestamp()").fetchone()[0]
            other.commit()
        shared.until(run, "completed")
        started = shared.one("select started_at from tributary.steps where run_id = %s", run)[0]
        delays.append((started - committed).total_seconds())
    delays.sort()
    record_property("wake_ups", delays)
    print("commit -> start, ms:", [round(1000 * delay, 1) for delay in delays])
    assert delays[len(delays) // 2] < 0.25


def test_queue_slots_hold_over_the_whole_worker(shared):
    for queue, most in (("heavy", 2), ("single", 1)):
        ids = [shared.submit("t.hold.v1", {"gate": f"open-{queue}"}, queue=queue) for _ in range(5)]
        counted = "select count(*) from tributary.steps where queue = %s and state = 'running'"
        shared.wait(lambda: shared.one(counted, queue)[0] == most, 10, f"{most} run")  # noqa: B023
        probe = shared.submit("t.note.v1")
        shared.until(probe, "completed")
        assert shared.one(counted, queue)[0] == most
        shared.open(f"open-{queue}")
        for run in ids:
            shared.until(run, "completed")
        assert _most_at_once(shared.notes(), ids) <= most


def _most_at_once(notes, ids):
    now = most = 0
    for note in sorted((n for n in notes if n["id"] in ids), key=lambda n: n["at"]):
        now += {"began": 1, "ended": -1}[note["what"]]
        most = max(most, now)
    return most


def test_a_paused_queue_rests_until_it_is_resumed(shared):
    shared.sql.execute(
        "insert into tributary.queues (name, paused, paused_at) values ('single', true, now())"
        " on conflict (name) do update set paused = true, paused_at = now()"
    )
    run = shared.submit("t.note.v1", queue="single")
    probe = shared.submit("t.note.v1")
    shared.until(probe, "completed")
    assert shared.state(run) == "available"
    shared.sql.execute("update tributary.queues set paused = false, paused_at = null where name = 'single'")
    shared.sql.execute("select tributary.wake(array['single'])")
    shared.until(run, "completed")


def test_higher_priorities_come_first(shared, shards):
    if shards > 1:
        pytest.skip("over several shards every fourth turn is the next one's, whatever its priorities")
    shared.sql.execute(
        "insert into tributary.queues (name, paused) values ('single', true)"
        " on conflict (name) do update set paused = true"
    )
    ids = {shared.submit("t.note.v1", {"p": p}, queue="single", priority=p): p for p in (-5, 0, 9, 3)}
    # the wake-ups of the submits have faded once the worker has beaten again: none straddles what follows
    submitted = shared.sql.execute("select clock_timestamp() + interval '150 ms'").fetchone()[0]
    shared.wait(
        lambda: shared.sql.execute(
            "select min(beat_at) > %s from tributary.workers", (submitted,)
        ).fetchone()[0]
    )
    shared.sql.execute("update tributary.queues set paused = false where name = 'single'")
    for run in ids:
        shared.until(run, "completed")
    order = [ids[note["id"]] for note in shared.notes("ran") if note["id"] in ids]
    assert order == [9, 3, 0, -5]


def test_names_that_the_worker_lacks_stay_and_do_not_keep_it_busy(shared):
    shared.sql.execute(
        "insert into tributary.registry (name, offered_at) values ('elsewhere.only.v1', now())"
        " on conflict do nothing"
    )
    foreign = [shared.submit("elsewhere.only.v1") for _ in range(300)]
    mine = shared.submit("t.note.v1")
    shared.until(mine, "completed")
    before = _ticks(shared.pids())
    began = threading.Event()
    began.wait(3)
    spent = _ticks(shared.pids()) - before
    assert spent < 0.2 * 3 * 100, f"{spent} ticks of CPU in 3 s"
    assert {shared.row(run)[:2] for run in foreign} == {("available", 0)}
    shared.sql.execute("select tributary.cancel(id) from unnest(%s::uuid[]) as id", (foreign,))


def _ticks(pids):
    """CPU time of processes, hundredths of a second."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - not a file of ours
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


def test_an_idle_worker_asks_little_and_costs_nothing(shared):
    shared.wait(
        lambda: (
            shared.one("select count(*) from tributary.steps where state in ('running', 'available')") == (0,)
        ),
        20,
        "idle",
    )
    query = """
        select xact_commit, (select sum(autovacuum_count + autoanalyze_count) from pg_stat_all_tables)
        from pg_stat_database where datname = current_database()
    """
    # a session that falls idle reports what it did within ten seconds: earlier work may count at first
    looks = 0
    for _ in range(12):
        (before, tended), ticks = shared.one(query), _ticks([shared.worker.pid, *shared.pids()])
        threading.Event().wait(4)
        spent = _ticks([shared.worker.pid, *shared.pids()]) - ticks
        after, tended_then = shared.one(query)
        per_second = (after - before) / 4
        print(f"idle: {per_second:.1f} transactions/s, {spent} ticks of CPU in 4 s, {tended_then - tended}")
        if per_second <= 4.5 and spent <= 24:
            return
        # what autovacuum does here is none of the worker's
        looks += tended_then == tended
        if looks == 4:
            break
    pytest.fail("it is not idle")


def test_a_module_that_does_not_import_is_reported_and_the_others_run(shared):
    (failures, names) = shared.one("select failures, names from tributary.workers where name = 'shared'")
    assert [failure["names"] for failure in failures] == [["broken.first.v1"]]
    assert "this module is broken" in failures[0]["error"]
    assert "broken.first.v1" not in names
    assert "t.note.v1" in names
    assert json.dumps(failures)


def test_timeouts_of_threads_of_the_loop_and_of_shell_steps(shared):
    pids = shared.pids()
    spin = shared.submit("t.spin.v1")
    loop = shared.submit("trib.sleep.v1", {"seconds": 30}, timeout=0.3, max_attempts=1)
    script = shared.run(
        "name: shop.shell.v1\nsteps:\n"
        "  sh: {run: 'sleep 98 & echo $! > \"$OUT\"; wait', env: {OUT: '"
        + str(shared.home / "sleeper")
        + "'},"
        " timeout: 500ms, max_attempts: 1}\n"
    )
    for run, ordinal in ((spin, 0), (loop, 0), (script, 1)):
        shared.until(run, "discarded", ordinal=ordinal)
        assert shared.row(run, ordinal)[2] == "timeout"
    shared.noted("timeout", spin)
    sleeper = int((shared.home / "sleeper").read_text())
    shared.wait(lambda: not _is_alive(sleeper), 10, "the process group of the script is gone")
    assert shared.pids() == pids


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - not a file of ours
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_thread_that_ignores_its_timeout_costs_its_process_and_nobody_else(shared):
    pids = set(shared.pids())
    stuck = shared.submit("t.sleep.v1", {"seconds": 100}, timeout=0.3, max_attempts=1)
    (began,) = shared.noted("began", stuck)
    neighbours = [shared.submit("t.hold.v1", {"gate": "neighbours"}) for _ in range(4)]
    for run in neighbours:
        shared.noted("began", run)
    shared.until(stuck, "discarded")
    assert shared.row(stuck)[2] == "timeout"
    shared.open("neighbours")
    for run in neighbours:
        shared.until(run, "completed")
        assert shared.row(run)[1] == 1
    shared.wait(lambda: began["pid"] not in shared.pids() and len(shared.pids()) == 2, 20, "it is replaced")
    assert len(pids & set(shared.pids())) == 1


def test_a_blocked_loop_is_replaced_too(shared):
    run = shared.submit("t.block.v1")
    shared.noted("began", run)
    shared.until(run, "discarded", timeout=40)
    assert shared.row(run)[2] == "timeout"
