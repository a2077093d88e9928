"""Every state that the protocol can reach within small bounds keeps the promises of docs/model.md."""

from __future__ import annotations

import pytest

from tests.model_check import promises
from tests.model_check.__main__ import main
from tests.model_check.explorer import search
from tests.model_check.fleet import Fleet
from tests.model_check.leaders import Leaders
from tests.model_check.mutants import MUTANTS
from tests.model_check.scenes import CRON_SCENES, SCENES
from tests.model_check.slot_mutants import CRON_MUTANTS

pytestmark = pytest.mark.timeout(900)  # nothing waits; a busy machine may be slow


@pytest.mark.parametrize("name", SCENES)
def test_the_protocol_keeps_its_promises(name):
    found = search(Fleet(SCENES[name]))
    assert found.broken is None, found.story()
    assert found.whole
    assert found.ended >= 2, "work comes to more than one end"


@pytest.mark.parametrize("name", CRON_SCENES)
def test_schedules_keep_their_promises(name):
    found = search(Leaders(CRON_SCENES[name]))
    assert found.broken is None, found.story()
    assert found.whole
    assert found.ended >= 2, "slots come to more than one end"


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mistake_in_the_protocol_is_found(name):
    mutant = MUTANTS[name]
    found = search(mutant.model())
    assert (found.broken or "").startswith(mutant.promise), found.story()
    right = search(Fleet(mutant.scene, but=mutant.but))
    assert right.broken is None, "it is the mistake that breaks the promise, not the bounds"


@pytest.mark.parametrize("name", CRON_MUTANTS)
def test_every_mistake_in_schedules_is_found(name):
    mutant = CRON_MUTANTS[name]
    found = search(mutant.model())
    assert (found.broken or "").startswith(mutant.promise), found.story()


def test_a_broken_promise_is_told_by_the_shortest_history():
    found = search(MUTANTS["no fence"].model())
    story = found.story().splitlines()
    assert story[0] == f"broken: {promises.LEASE}: step 0: 'completed' was accepted without the newest lease"
    assert [line.partition(". ")[2] for line in story[1::2]] == [
        "submit",
        "claim 0 0",
        "start 0 0",
        "silence 0",
        "look for the dead",
        "rescue",
        "claim 1 0",
        "finish 0 0 completed",
    ]
    assert story[-1].strip().startswith("0: completed, token 1, attempt 2")


def test_a_search_that_was_cut_off_says_so():
    found = search(Fleet(SCENES["a drain"]), most=100)
    assert not found.whole
    assert found.states >= 100


def test_the_runner_tells_what_it_has_searched(capsys):
    assert main(["--scene", "a drain", "--scene", "slots that wait", "--faults", "0"]) == 0
    head, drain, slots, total, memory = capsys.readouterr().out.splitlines()
    assert head.split() == ["scene", "states", "moves", "depth", "ends", "seconds"]
    assert drain.startswith("a drain ")
    assert slots.startswith("slots that wait ")
    counts = [int(row[33:43].replace(",", "")) for row in (drain, slots, total)]
    assert counts[0] + counts[1] == counts[2] > 2_000
    assert memory.startswith("memory ")


def test_the_runner_tells_how_a_mistake_is_found(capsys):
    assert main(["--mutant", "nobody rescues"]) == 0
    assert capsys.readouterr().out.startswith(f"broken: {promises.WORK}")
    assert main(["--scene", "a drain", "--faults", "3", "--states", "500"]) == 0
    assert "cut off" in capsys.readouterr().out
