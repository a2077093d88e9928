"""The commands around workflow files: plan, graph, fmt, convert, schema, explain, validate."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

HANDLERS = """
from tributary_daemon import handler

@handler("shop.price.v1", queue="pricing", timeout="10s", max_attempts=2)
def price(day: str) -> dict:
    return {"day": day}
"""
FLOW = """\
name: shop.flow.v1
inputs:
  day: {type: date}
  copies: {type: integer, default: 2}
steps:
  price: {task: shop.price.v1, with: {day: "${{ inputs.day }}"}, priority: 5}
  ship:
    needs: price
    run: echo "$WHAT"
    env: {WHAT: "${{ steps.price.result.day }}"}
"""
DAGU = """\
# Converted from Dagu by `trib convert`.
name: converted.v1
steps:
  step_1:
    run: echo
"""
UNTIDY = "steps:\n    a:   # first\n        run: echo\n        needs: []\n"
TIDY = "steps:\n  a:  # first\n    needs: []\n    run: echo\n"


@pytest.fixture
def flow(tmp_path):
    (tmp_path / "handlers_of_shop.py").write_text(HANDLERS)
    (tmp_path / "flow.yaml").write_text(FLOW)
    return "flow.yaml"


def test_a_plan_shows_options_with_their_levels(cli, flow):
    said = cli("plan", flow, "--import", "./handlers_of_shop.py", "-i", "day=2026-03-01")
    assert said.code == 0, said.err
    assert (
        "options     queue pricing (handler), priority 5 (step), max_attempts 2 (handler), timeout 10.0s"
        in said.out
    )
    assert "critical path  price -> ship  (2 steps, no bound)" in said.out
    assert 'day (date) = "2026-03-01"  given' in said.out
    plan = json.loads(cli("plan", flow, "-o", "json").out)
    assert plan["levels"] == [["price"], ["ship"]]
    assert plan["inputs"]["day"]["from"] is None
    assert cli("plan", flow, "-o", "name").out == "price\nship\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("copies=many", "input 'copies' must be an integer"),
        ("dya=2026-03-01", "unknown input 'dya'; did you mean 'day'?"),
        ("day=yesterday", "input 'day' must be a date"),
    ],
)
def test_a_plan_checks_the_inputs_it_is_given(cli, flow, given, said):
    answer = cli("plan", flow, "-i", given)
    assert (answer.code, answer.out) == (3, "")
    assert said in answer.err
    assert "required" not in answer.err


def test_a_plan_needs_no_database(cli, flow, monkeypatch):
    monkeypatch.setenv("TRIB_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert cli("plan", flow).code == 0
    assert cli("graph", flow).code == 0


def test_graphs_of_a_file_in_every_form(cli, flow):
    assert cli("graph", flow).out == "price ────▶ ship\n"
    assert cli("graph", flow, "-o", "dot").out.startswith('digraph "shop.flow.v1" {')
    assert cli("graph", flow, "-o", "mermaid").out.startswith("flowchart LR\n")
    graph = json.loads(cli("graph", flow, "-o", "json").out)
    assert graph["edges"] == [{"from": "price", "to": "ship", "kind": "needs"}]
    assert [node["id"] for node in graph["nodes"]] == ["price", "ship"]


def test_a_graph_too_large_for_mermaid_says_so(cli, tmp_path):
    steps = "".join(f"  s{n}: {{run: echo, needs: a}}\n" for n in range(501))
    (tmp_path / "many.yaml").write_text(f"steps:\n  a: {{run: echo}}\n{steps}")
    said = cli("graph", "many.yaml", "-o", "mermaid")
    assert said.out.count("-->") == 501
    assert "Mermaid draws at most 500 edges" in said.err


def test_fmt_writes_checks_and_shows_differences(cli, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(UNTIDY)
    path.chmod(0o640)
    said = cli("fmt", "--check", "a.yaml")
    assert (said.code, said.out, said.err) == (1, "", "would format a.yaml\n")
    said = cli("fmt", "--diff", "a.yaml")
    assert said.code == 0
    assert said.out.startswith("--- a.yaml\n+++ a.yaml (formatted)\n")
    assert cli("fmt", "--check", "--diff", "a.yaml").code == 1
    assert path.read_text() == UNTIDY
    said = cli("fmt", "a.yaml")
    assert (said.code, said.out, said.err) == (0, "", "formatted a.yaml\n")
    assert path.read_text() == TIDY
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["a.yaml"]
    assert cli("fmt", "a.yaml") == cli("fmt", "--check", "a.yaml")


def test_fmt_goes_on_after_a_file_it_refuses(cli, tmp_path):
    (tmp_path / "bad.yaml").write_text("steps: [\n")
    (tmp_path / "good.yaml").write_text(UNTIDY)
    (tmp_path / "strange.yaml").write_bytes(b"\xff\xfe")
    said = cli("fmt", "bad.yaml", "strange.yaml", "good.yaml")
    assert said.code == 3
    assert "[TRB101]" in said.err
    assert "not UTF-8" in said.err
    assert (tmp_path / "good.yaml").read_text() == TIDY
    assert (tmp_path / "bad.yaml").read_text() == "steps: [\n"


def test_fmt_keeps_a_link_a_link(cli, tmp_path):
    (tmp_path / "real.yaml").write_text(UNTIDY)
    (tmp_path / "link.yaml").symlink_to("real.yaml")
    assert cli("fmt", "link.yaml").code == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == TIDY


@pytest.mark.parametrize(
    ("arguments", "given", "out"),
    [
        (("fmt", "-"), UNTIDY, TIDY),
        (("convert", "--from", "dagu", "-"), "steps: [echo]", DAGU),
        (("graph", "-"), "steps: {a: {run: echo}}", "a\n"),
    ],
)  # fmt: skip
def test_standard_input(cli, monkeypatch, arguments, given, out):
    monkeypatch.setattr("sys.stdin.read", lambda: given, raising=False)
    said = cli(*arguments)
    assert (said.code, said.out) == (0, out)


def test_convert_writes_a_new_file_only(cli, tmp_path):
    (tmp_path / "dag.yaml").write_text("steps: [{command: echo, executor: ssh}]\n")
    said = cli("convert", "--from", "dagu", "dag.yaml", "-o", "out.yaml")
    assert (said.code, said.out) == (0, "")
    assert said.err == "1 step converted, 1 thing not\n  line 1: executor: ssh\n"
    assert "# not converted: line 1: executor: ssh" in (tmp_path / "out.yaml").read_text()
    again = cli("convert", "--from", "dagu", "dag.yaml", "-o", "out.yaml")
    assert again.code == 2
    assert "out.yaml exists already" in again.err


def test_convert_refuses_what_it_cannot_read(cli, tmp_path):
    (tmp_path / "dag.yaml").write_text("- 1\n")
    said = cli("convert", "--from", "argo", "dag.yaml")
    assert (said.code, said.out) == (3, "")
    assert "hint: " in said.err


def test_the_schema_is_printed_or_written(cli, tmp_path):
    shown = cli("schema").out
    assert json.loads(shown)["title"] == "Tributary workflow"
    assert cli("schema", "-o", "s.json").err == "wrote s.json\n"
    assert (tmp_path / "s.json").read_text() == shown
    assert shown == (Path(__file__).parents[2] / "schemas" / "workflow.schema.json").read_text()


def test_explain_tells_keys_and_codes(cli):
    said = cli("explain", "max_attempts")
    assert said.out.splitlines()[0] == "max_attempts  step"
    assert "  default  3; 1 for run, workflow, wait and approve" in said.out
    rows = json.loads(cli("explain", "timeout", "-o", "json").out)
    assert [row["key"] for row in rows][:2] == ["workflow.timeout", "step.timeout"]
    assert json.loads(cli("explain", "needs", "-o", "json").out)["form"].startswith("text")
    assert "unknown step" in cli("explain", "[trb104]").out
    foreign = cli("explain", "depends_on")
    assert foreign.out.startswith("needs  step\n")
    assert "Tributary says `needs`" in foreign.err
    names = cli("explain", "-o", "name").out.split()
    assert {"workflow.steps", "step.needs", "retry.backoff", "TRB104"} <= set(names)
    unknown = cli("explain", "ned")
    assert unknown.code == 4
    assert "did you mean needs?" in unknown.err


def test_validate_as_sarif_covers_every_file(cli, tmp_path):
    (tmp_path / "good.yaml").write_text("steps: {a: {task: shop.a}}\n")
    (tmp_path / "bad.yaml").write_text("steps:\n  hello: {run: echo, needs: [helo], bogus: 1}\n")
    said = cli("validate", "good.yaml", "bad.yaml", "-o", "sarif")
    assert said.code == 3
    [run] = json.loads(said.out)["runs"]
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        ("TRB122", "warning"), ("TRB104", "error"), ("TRB102", "error"),
    ]  # fmt: skip
    strict = json.loads(cli("validate", "good.yaml", "--strict", "-o", "sarif").out)
    assert [(result["ruleId"], result["level"]) for result in strict["runs"][0]["results"]] == [
        ("TRB122", "error"), ("TRB150", "error"),
    ]  # fmt: skip
    assert cli("validate", "good.yaml", "-o", "text").out == cli("validate", "good.yaml").out


def test_the_graph_of_a_run_carries_its_states(cli, database, monkeypatch, tmp_path):
    monkeypatch.setenv("TRIB_DATABASE_URL", database)
    (tmp_path / "two.yaml").write_text(
        "name: two.v1\nsteps:\n  a: {task: trib.noop.v1}\n  b: {task: trib.noop.v1, needs: a}\n"
    )
    run = cli("submit", "two.yaml", "-o", "name").out.strip()
    # nobody has offered its handler yet
    assert cli("graph", "@latest").out == "◌ a ────▶ · b\n"
    graph = json.loads(cli("graph", run, "-o", "json").out)
    assert [node["state"] for node in graph["nodes"]] == ["waiting", "blocked"]
    assert graph["state"] == json.loads(cli("status", run, "-o", "json").out)["state"]
    assert "  class n2 blocked" in cli("graph", run, "-o", "mermaid").out
    assert cli("cancel", run).code == 0
    assert cli("graph", run).out == "⊘ a ────▶ ⊘ b\n"
    intent = cli("submit", "a.b.v1", "-o", "name").out.strip()
    state = json.loads(cli("status", intent, "-o", "json").out)["state"]
    assert json.loads(cli("graph", intent, "-o", "json").out)["nodes"] == [
        {"id": "a.b.v1", "name": "a.b.v1", "action": "task", "level": 1, "state": state}
    ]
    missing = cli("graph", "abcdef12")
    assert missing.code == 4
    assert "hint: " in missing.err
