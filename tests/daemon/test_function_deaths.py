"""Workflow functions that die on real workers : they take down what runs them, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

FLOWS = Path(__file__).with_name("flows_that_die.py")


@pytest.fixture
def flows(desk, worker, tmp_path):
    shutil.copy(FLOWS, tmp_path / "flows_that_die.py")

    def start(*args, processes=1):
        running = worker("--import", "./flows_that_die.py", "--processes", processes, *args)
        desk.wait(
            lambda: desk.one("select count(*) from tributary.workflows where name like 'r.%%'")[0] > 5,
            20,
            "registered",
        )
        return running

    desk.start = start
    desk.flow = lambda name, **inputs: str(
        desk.one("select tributary.submit_workflow(%s, %s)", name, Jsonb(inputs))[0]
    )
    return desk


@pytest.mark.parametrize("flow", ["r.exits.v1", "r.exits-inside.v1"])
def test_an_exit_in_place_ends_its_run_and_not_the_loop_of_its_process(flows, flow):
    worker = flows.start()
    run = flows.flow(flow)
    flows.wait(lambda: flows.state(run, 1) != "available", 20, "begun")
    other = flows.flow("r.plain.v1")
    try:
        flows.until_run(other, "completed", 20)
        flows.until_run(run, "failed", 20)
    finally:
        print(worker.log(), flows.row(run, 1), flows.row(other, 1))


def test_a_drain_gives_back_what_a_function_does_in_place(flows, tmp_path):
    worker = flows.start("--drain-timeout", "1")
    run = flows.flow("r.lingers.v1")
    flows.wait((tmp_path / "slow-began").exists, 20, "begun")
    worker.process.terminate()
    worker.process.wait(20)
    state, attempt, reason, crashes = flows.row(run, 1)
    print(worker.log(), state, attempt, reason, crashes)
    assert (state, crashes) == ("available", 0)


def test_a_function_that_kills_its_process_is_discarded_and_others_are_unharmed(flows, tmp_path):
    worker = flows.start()
    innocents = [flows.submit("r.innocent.v1", {"n": n}) for n in range(4)]
    run = flows.flow("r.kills.v1")
    more = [flows.submit("r.innocent.v1", {"n": n}) for n in range(4, 40)]
    try:
        flows.until_run(run, "failed", 90)
        for one in innocents + more:
            flows.until(one, "completed", 60)
    finally:
        print(worker.log()[-6000:], flows.row(run, 1), (tmp_path / "kills").read_text())
        print([flows.row(one) for one in innocents + more])
        print(flows.errors(run))
    assert len((tmp_path / "kills").read_text()) <= 5
    assert all(flows.row(one)[3] <= 1 for one in innocents + more), "crashed once with it at most"


def test_an_option_out_of_range_fails_its_run_alone(flows):
    worker = flows.start()
    run = flows.flow("r.priority.v1")
    other = flows.flow("r.plain.v1")
    try:
        flows.until_run(run, "failed", 30)
        flows.until_run(other, "completed", 20)
    finally:
        print(worker.log()[-3000:], flows.row(run, 1), flows.errors(run))


def test_a_function_and_its_step_may_fail_in_the_same_moment(flows, tmp_path):
    worker = flows.start()
    other = flows.submit("r.hold.v1", {"what": "w"})
    flows.wait((tmp_path / "holds-w").exists, 20, "holds")
    run = flows.flow("r.batch.v1", what="w")
    flows.wait((tmp_path / "waits-w").exists, 20, "waits")
    flows.wait(lambda: flows.state(run, 3) == "running", 20, "its step is at work")
    try:
        with psycopg.connect(flows.url) as own:
            # the process waits for this while it writes down another outcome, and has two more by then
            own.execute("select from tributary.steps where run_id = %s for update", (other,))
            flows.open("go-w")
            flows.wait(
                lambda: flows.one("select count(*) from pg_locks where not granted")[0] > 0, 20, "it waits"
            )
            flows.open("open-w")
            flows.wait((tmp_path / "failed-w").exists, 20, "failed")
        flows.until_run(run, "failed", 30)
        assert "died" not in worker.log()
        assert flows.row(run, 1)[2:] == ("discarded", 0)
    finally:
        print(worker.log()[-5000:])
        print(flows.row(run, 1), flows.errors(run))


def test_a_function_that_kills_its_process_while_its_step_is_at_work_ends(flows, tmp_path):
    worker = flows.start()
    run = flows.flow("r.dies-beside-its-step.v1")
    try:
        flows.until_run(run, "failed", 60)
    finally:
        print(worker.log()[-5000:])
        print((tmp_path / "deaths").read_text(), flows.row(run, 1), flows.row(run, 3), flows.errors(run))
    assert len((tmp_path / "deaths").read_text()) <= 4


def test_what_runs_beside_a_function_that_kills_its_process_is_not_discarded_for_it(flows):
    worker = flows.start()
    run = flows.flow("r.kills-late.v1")
    patients = [flows.submit("r.patient.v1") for _ in range(3)]
    try:
        flows.until_run(run, "failed", 90)
        flows.wait(
            lambda: all(flows.state(one) in ("completed", "discarded") for one in patients), 90, "ended"
        )
        assert [flows.state(one) for one in patients] == ["completed"] * 3
    finally:
        print(worker.log()[-5000:], flows.row(run, 1))
        print([flows.row(one) for one in patients], flows.errors(patients[0]))
