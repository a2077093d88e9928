"""A seed of chaos gives one plan."""

from __future__ import annotations

import pytest

from chaos import plan, workflows
from chaos.faults import Faults
from tributary_daemon.spec.loader import load_file


def test_the_same_seed_gives_the_same_plan():
    assert plan.make(7, 120) == plan.make(7, 120)
    assert plan.make(7, 120) != plan.make(8, 120)


def test_a_longer_run_begins_like_a_shorter_one():
    short, long = plan.make(7, 60), plan.make(7, 120)
    assert long.submissions[: len(short.submissions)] == short.submissions
    assert long.faults[: len(short.faults)] == short.faults


def test_a_fault_that_cannot_be_had_changes_no_submission():
    limited = plan.make(7, 60, without=frozenset({"fill_disk"}))
    whole = plan.make(7, 60)
    assert limited.submissions == whole.submissions
    assert list(limited.faults) == [fault for fault in whole.faults if fault.kind != "fill_disk"]
    assert len(limited.faults) < len(whole.faults)


def test_faults_may_be_chosen():
    chosen = plan.make(7, 60, wanted=frozenset({"kill_worker", "half_open"}))
    assert {fault.kind for fault in chosen.faults} == {"kill_worker", "half_open"}
    assert chosen.submissions == plan.make(7, 60).submissions


@pytest.mark.parametrize("seed", range(5))
def test_the_short_form_has_nearly_every_fault(seed):
    made = plan.make(seed, 75)
    missing = set(plan.KINDS) - {fault.kind for fault in made.faults}
    # one that comes while another has its worker or the server is left out
    assert len(missing) <= 4
    assert all(0 <= fault.at < 75 and 0 <= fault.worker < plan.WORKERS for fault in made.faults)
    assert len(made.faults) >= 20


@pytest.mark.parametrize("seed", range(5))
def test_no_two_faults_have_the_same_worker_or_the_server_at_once(seed):
    taken = {}
    for fault in plan.make(seed, 600).faults:
        takes = plan.KINDS[fault.kind].takes
        if takes != "nothing":
            resource = "server" if takes == "server" else fault.worker
            assert fault.at >= taken.get(resource, 0)
            taken[resource] = fault.at + fault.seconds


def test_every_fault_of_the_plan_can_be_injected():
    assert [kind for kind in plan.KINDS if not callable(getattr(Faults, f"_{kind}", None))] == []


@pytest.mark.parametrize("name", workflows.SOURCES)
def test_the_workflows_are_valid(name, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text(workflows.SOURCES[name])
    assert load_file(path, strict=True).name == name
