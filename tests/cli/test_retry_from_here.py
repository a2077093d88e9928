"""``trib retry --from`` and ``--only``, their preview, and ``trib rerun --latest``, without a worker."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tributary_daemon.cli.main import main

WORKFLOW = """\
name: again.v1
inputs: {n: {type: integer}}
steps:
  pick: {task: shop.pick.v1, with: {n: "${{ inputs.n }}"}}
  pack: {task: shop.pack.v1, needs: pick}
"""


@pytest.fixture
def trib(database, monkeypatch, capsys, tmp_path):
    """Return a function that runs a command in this process, as each of its own takes a second to start."""
    monkeypatch.setenv("TRIB_DATABASE_URL", database)
    monkeypatch.setenv("TRIB_HOME", str(tmp_path))

    def run(*args):
        code = main([str(arg) for arg in args])
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run


@pytest.fixture
def flow(tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(WORKFLOW)
    return path


@pytest.fixture
def cancelled(trib, flow):
    identifier = trib("submit", flow, "-i", "n=3", "-o", "name").stdout.strip()
    assert trib("cancel", identifier).returncode == 0
    return identifier


def _json(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _state(trib, identifier):
    return _json(trib("status", identifier, "-o", "json"))["state"]


def test_a_preview_tells_what_runs_again_and_changes_nothing(trib, cancelled):
    before = (trib("status", cancelled, "-o", "json").stdout, trib("events", cancelled, "-o", "json").stdout)
    rows = _json(trib("retry", cancelled, "--from", "pick", "--dry-run", "-o", "json"))
    assert [(row["step"], row["item"], row["again"]) for row in rows] == [
        ("pick", None, True),
        ("pack", None, True),
    ]
    assert _json(trib("retry", cancelled, "--dry-run", "-o", "json")) == rows
    after = (trib("status", cancelled, "-o", "json").stdout, trib("events", cancelled, "-o", "json").stdout)
    assert after == before


def test_a_person_is_asked_before_named_steps_run_again(trib, answered, cancelled):
    refused = answered("n", "retry", cancelled, "--from", "pick")
    assert "Run again: pick, pack? [y/N]" in refused
    assert refused.endswith("nothing was done\n")
    assert _state(trib, cancelled) == "cancelled"
    assert "Run again: pick, pack? [y/N]" in answered("y", "retry", cancelled, "--only", "pick")
    assert _state(trib, cancelled) == "waiting"


@pytest.mark.parametrize("arguments", [["--from", "pick", "--yes"], ["--only", "pick", "-y"], []])
def test_nobody_is_asked_with_yes_or_without_names(trib, answered, cancelled, arguments):
    shown = answered("n", "retry", cancelled, *arguments)
    assert "Run again" not in shown
    assert _state(trib, cancelled) == "waiting"


def test_a_long_list_of_what_runs_again_is_cut(trib, answered, tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text("steps:\n" + "".join(f"  s{n}: {{task: shop.pick.v1}}\n" for n in range(25)))
    run = trib("submit", path, "-o", "name").stdout.strip()
    assert trib("cancel", run).returncode == 0
    named = [word for n in range(25) for word in ("--from", f"s{n}")]
    shown = answered("n", "retry", run, *named)
    assert "s18, s19 and 5 more? [y/N]" in shown
    assert "s20" not in shown.partition("Run again")[2]


def test_from_and_only_are_not_mixed_and_go_with_an_id(trib, cancelled):
    mixed = trib("retry", cancelled, "--from", "pick", "--only", "pack")
    assert mixed.returncode == 2
    assert "give one of them" in mixed.stderr
    assert trib("retry", "--only", "pick", "--state", "cancelled").returncode == 2


def test_several_steps_run_again_without_a_question_where_nobody_can_answer(trib, cancelled):
    answer = _json(trib("retry", cancelled, "--only", "pick", "--only", "pack", "-o", "json"))
    assert answer["state"] == "running"


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_what_has_not_ended_is_refused_and_an_unknown_step_not_found(trib, flow, cancelled, more):
    assert trib("retry", cancelled, "--only", "nobody", *more).returncode == 4
    assert trib("retry", cancelled, "--only", "pick[1]", *more).returncode == 4
    live = trib("submit", flow, "-i", "n=3", "-o", "name").stdout.strip()
    refused = trib("retry", live, "--only", "pick", *more)
    assert refused.returncode == 8
    assert "cancel it first" in refused.stderr
    assert trib("pause", live).returncode == 0
    assert trib("retry", live, "--only", "pick", *more).returncode == 8
    assert trib("retry", live, "--from", "pick", *more).returncode == 8


def test_an_intent_has_a_preview_and_no_steps(trib):
    made = trib("submit", "shop.pick.v1", "-o", "name")
    assert made.returncode == 0, made.stderr
    intent = made.stdout.strip()
    assert trib("cancel", intent).returncode == 0
    assert trib("retry", intent, "--only", "pick").returncode == 8
    rows = _json(trib("retry", intent, "--dry-run", "-o", "json"))
    assert [row["again"] for row in rows] == [True]
    assert rows[0]["step"] is None
    shown = trib("retry", intent, "--dry-run")
    assert (shown.returncode, "the intent" in shown.stdout) == (0, True)


def test_rerun_latest_needs_a_registered_name_and_checks_its_inputs(trib, flow, cancelled):
    none = trib("rerun", cancelled, "--latest")
    assert none.returncode == 4
    assert "hint:" in none.stderr
    assert trib("register", flow).returncode == 0
    assert _json(trib("rerun", cancelled, "--latest", "-o", "json"))["created"] is True
    flow.write_text(WORKFLOW.replace("type: integer", "type: integer, min: 5"))
    assert trib("register", flow).returncode == 0
    refused = trib("rerun", cancelled, "--latest")
    assert refused.returncode not in {0, 1}, refused.stdout
    assert "n" in refused.stderr
    assert trib("rerun", cancelled).returncode == 0
