"""``trib retry --from`` and ``--only``, their preview, and ``trib rerun --latest``, without a worker."""

from __future__ import annotations

import json

import pytest

WORKFLOW = """\
name: again.v1
inputs: {n: {type: integer}}
steps:
  pick: {task: shop.pick.v1, with: {n: "${{ inputs.n }}"}}
  pack: {task: shop.pack.v1, needs: pick}
"""


@pytest.fixture
def flow(tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(WORKFLOW)
    return path


@pytest.fixture
def cancelled(here, flow):
    identifier = here("submit", flow, "-i", "n=3", "-o", "name").stdout.strip()
    assert here("cancel", identifier).returncode == 0
    return identifier


def _json(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _state(here, identifier):
    return _json(here("status", identifier, "-o", "json"))["state"]


def test_a_preview_tells_what_runs_again_and_changes_nothing(here, cancelled):
    before = (here("status", cancelled, "-o", "json").stdout, here("events", cancelled, "-o", "json").stdout)
    rows = _json(here("retry", cancelled, "--from", "pick", "--dry-run", "-o", "json"))
    assert [(row["step"], row["item"], row["again"]) for row in rows] == [
        ("pick", None, True),
        ("pack", None, True),
    ]
    assert _json(here("retry", cancelled, "--dry-run", "-o", "json")) == rows
    after = (here("status", cancelled, "-o", "json").stdout, here("events", cancelled, "-o", "json").stdout)
    assert after == before


def test_a_person_is_asked_before_named_steps_run_again(here, answered, cancelled):
    refused = answered("n", "retry", cancelled, "--from", "pick")
    assert "Run again: pick, pack? [y/N]" in refused
    assert refused.endswith("nothing was done\n")
    assert _state(here, cancelled) == "cancelled"
    assert "Run again: pick, pack? [y/N]" in answered("y", "retry", cancelled, "--only", "pick")
    assert _state(here, cancelled) == "waiting"


@pytest.mark.parametrize("arguments", [["--from", "pick", "--yes"], ["--only", "pick", "-y"], []])
def test_nobody_is_asked_with_yes_or_without_names(here, answered, cancelled, arguments):
    shown = answered("n", "retry", cancelled, *arguments)
    assert "Run again" not in shown
    assert _state(here, cancelled) == "waiting"


def test_a_long_list_of_what_runs_again_is_cut(here, answered, tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text("steps:\n" + "".join(f"  s{n}: {{task: shop.pick.v1}}\n" for n in range(25)))
    run = here("submit", path, "-o", "name").stdout.strip()
    assert here("cancel", run).returncode == 0
    named = [word for n in range(25) for word in ("--from", f"s{n}")]
    shown = answered("n", "retry", run, *named)
    assert "s18, s19 and 5 more? [y/N]" in shown
    assert "s20" not in shown.partition("Run again")[2]


def test_from_and_only_are_not_mixed_and_go_with_an_id(here, cancelled):
    mixed = here("retry", cancelled, "--from", "pick", "--only", "pack")
    assert mixed.returncode == 2
    assert "give one of them" in mixed.stderr
    assert here("retry", "--only", "pick", "--state", "cancelled").returncode == 2


def test_several_steps_run_again_without_a_question_where_nobody_can_answer(here, cancelled):
    answer = _json(here("retry", cancelled, "--only", "pick", "--only", "pack", "-o", "json"))
    assert answer["state"] == "running"


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_what_has_not_ended_is_refused_and_an_unknown_step_not_found(here, flow, cancelled, more):
    assert here("retry", cancelled, "--only", "nobody", *more).returncode == 4
    assert here("retry", cancelled, "--only", "pick[1]", *more).returncode == 4
    live = here("submit", flow, "-i", "n=3", "-o", "name").stdout.strip()
    refused = here("retry", live, "--only", "pick", *more)
    assert refused.returncode == 8
    assert "cancel it first" in refused.stderr
    assert here("pause", live).returncode == 0
    assert here("retry", live, "--only", "pick", *more).returncode == 8
    assert here("retry", live, "--from", "pick", *more).returncode == 8


def test_an_intent_has_a_preview_and_no_steps(here):
    made = here("submit", "shop.pick.v1", "-o", "name")
    assert made.returncode == 0, made.stderr
    intent = made.stdout.strip()
    assert here("cancel", intent).returncode == 0
    assert here("retry", intent, "--only", "pick").returncode == 8
    rows = _json(here("retry", intent, "--dry-run", "-o", "json"))
    assert [row["again"] for row in rows] == [True]
    assert rows[0]["step"] is None
    shown = here("retry", intent, "--dry-run")
    assert (shown.returncode, "the intent" in shown.stdout) == (0, True)


def test_rerun_latest_needs_a_registered_name_and_checks_its_inputs(here, flow, cancelled):
    none = here("rerun", cancelled, "--latest")
    assert none.returncode == 4
    assert "hint:" in none.stderr
    assert here("register", flow).returncode == 0
    assert _json(here("rerun", cancelled, "--latest", "-o", "json"))["created"] is True
    flow.write_text(WORKFLOW.replace("type: integer", "type: integer, min: 5"))
    assert here("register", flow).returncode == 0
    refused = here("rerun", cancelled, "--latest")
    assert refused.returncode not in {0, 1}, refused.stdout
    assert "n" in refused.stderr
    assert here("rerun", cancelled).returncode == 0
