"""Some random inputs for every parser, always the same ones; `make fuzz` throws more, and others."""

from __future__ import annotations

import pytest

from tests.fuzz import command_lines, language, running, values

# repeatable: what a new input finds is found by `make fuzz`, not by somebody else's change
SEED = 20_261_126
SECONDS = 20.0


@pytest.mark.parametrize(
    ("kinds", "inputs"), [(language.KINDS, 400), (values.KINDS, 1_400)], ids=["language", "values"]
)
def test_nothing_but_refusals_leaves_a_parser(kinds, inputs):
    found = running.run(kinds, inputs, SEED, seconds=SECONDS)
    assert found.failures == []
    assert sum(found.ended.values()) == inputs
    assert len(found.ended) > len(kinds), "some are read, some refused"


def test_no_command_line_is_a_fault_of_trib():
    with command_lines.surroundings():
        found = running.run((command_lines.KIND,), 300, SEED, seconds=SECONDS)
    assert found.failures == []
    assert {"command 0", "command 2"} < set(found.ended)


def test_a_fault_is_found():
    """What would be missed otherwise: an input that raises, and one that hangs."""

    def attempt(number):
        while number == 1:
            pass
        return str(1 // number)

    kinds = (("number", lambda dice: dice.randrange(3), attempt),)
    found = running.run(kinds, 12, 7, seconds=0.05)
    assert any("ZeroDivisionError" in failure for failure in found.failures)
    assert any("Hang" in failure for failure in found.failures)
    assert found.ended["number 0"] > 0


def test_known_faults_stay_mended():
    """Each was found by these tests once."""
    assert values.try_duration(10**5_000) == "refused"
    assert values.try_duration(-(10**400)) == "refused"
    assert values.try_json('{"a": "\ud800"}') == "refused"
    assert values.try_json("9" * 5_000) == "refused"
    values.try_setting("9" * 5_000)
    with command_lines.surroundings():
        for words in (
            ["submit", "x.v1", "--payload", "9" * 5_000],
            ["validate", "a" * 300],
            ["graph", f"{'a' * 300}/x.yaml"],
            ["submit", "a" * 300],
            ["status", "@latest", "--database-url", "\udcff"],
            ["queue", "set", "q", "--concurrency", "9" * 5_000],
        ):
            assert command_lines.try_command_line((words, "")) in {"2", "3", "4", "7"}
