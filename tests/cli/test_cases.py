"""`trib test` as a child process: cases that pass, and cases that fail, each for its own reason."""

from __future__ import annotations

import json

import pytest

FLOW = """\
name: try.fan.v1
inputs: {files: {type: list, default: [a, b]}}
steps:
  each:
    for_each: ${{ inputs.files }}
    key: ${{ item }}
    task: try.one.v1
    with: {file: "${{ item }}"}
    tolerate: 1
    aggregate: {task: try.sum.v1}
  sh:
    needs: each
    run: echo hi
    env: {N: "${{ steps.each.result }}"}
    max_attempts: 3
    retry: {on_exit: [75]}
  real: {needs: sh, task: try.real.v1, with: {n: 2}}
  child: {needs: real, workflow: try.child.v1, if: "inputs.files[0] == 'a'"}
result: {n: "${{ steps.each.result }}", real: "${{ steps.real.result }}", child: "${{ steps.child.result }}"}
---
name: try.child.v1
steps:
  inner: {task: try.inner.v1}
"""
CASES = """\
cases:
  - name: passes
    mocks:
      each: {result: 1}
      "each[b]": {error: {type: Abort, message: no b}}
      try.sum.v1: {result: 5}
      sh: {error: {message: busy, exit_code: 75}, times: 2, result: {k: v}}
      real: {result: 4}
      inner: {result: 7}
    expect:
      result: {n: 5, real: 4, child: {inner: 7}}
      steps:
        "each[a]": {state: completed, result: 1, with: {file: a}}
        "each[b]": {state: discarded, reason: aborted}
        sh: {attempt: 3, with: {run: echo hi, env: {N: 5}}}
  - name: differs
    inputs: {files: [z]}
    mocks: {try.one.v1: {result: 2}, try.sum.v1: {result: 2}, sh: {error: {message: broken, exit_code: 3}}}
    expect: {steps: {sh: {attempt: 3}, child: {state: skipped, reason: upstream}}}
  - name: lacks
    mocks: {each: {result: 1}, "each[aggregate]": {result: 1}, sh: {result: {}}}
    expect: {state: failed}
  - name: refused
    inputs: {filez: []}
"""
HANDLERS = """
from tributary_daemon import handler

@handler("try.real.v1")
def real(n: int) -> int:
    return n * 10
"""
REAL = """\
cases:
  - name: the real one
    inputs: {files: [z]}
    mocks: {each: {result: 1}, try.sum.v1: {result: 1}, sh: {result: {}}}
    expect: {result: {n: 1, real: 20, child: null}}
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "fan.yaml").write_text(FLOW)
    (tmp_path / "fan.test.yaml").write_text(CASES)
    (tmp_path / "of_real.py").write_text(HANDLERS)
    return tmp_path


def test_each_case_is_judged_on_its_own(trib, files, connection):
    said = trib("test", "fan.yaml", "-o", "json")
    assert said.returncode == 1, said.stderr
    told = json.loads(said.stdout)
    passes, differs, lacks, refused = told["cases"]
    assert (told["passed"], told["failed"]) == (1, 3)
    assert passes["passed"], passes
    assert differs["state"] == "failed"
    assert differs["differences"] == [
        {"path": "state", "expected": "completed", "actual": "failed"},
        {"path": "steps.sh.attempt", "expected": 3, "actual": 1},
    ]
    assert differs["errors"]["steps.sh"] == "ShellFailed: broken"
    # it ended as expected, but for the wrong reason
    assert (lacks["state"], lacks["passed"]) == ("failed", False)
    assert lacks["missing"] == ["step 'real' (try.real.v1) has no mock"]
    assert "unknown input 'filez'; did you mean 'files'?" in refused["refusal"]
    left = connection.execute("select count(*) from tributary.runs").fetchall()
    assert left == [(0,)]


def test_a_real_handler_runs_if_nothing_mocks_it(trib, files):
    (files / "fan.test.yaml").write_text(REAL)
    said = trib("test", "fan.test.yaml", "--real", "--import", "./of_real.py")
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.startswith("passed  the real one")


HOOKS = """\
[[hooks]]
use = "./own.py:Grumpy"

[[hooks]]
use = "validation"
names = ["try.one.v1"]
result = {type = "integer", minimum = 3}
"""
OWN = """
from tributary_daemon import Hook

class Grumpy(Hook):
    def before_submit(self, work):
        raise ValueError("not today")
"""
CHECKED = """\
cases:
  - name: a result that does not fit
    inputs: {files: [z]}
    mocks: {each: {result: 1}, try.sum.v1: {result: 1}, sh: {result: {}}, real: {result: 1}}
"""


def test_hooks_of_the_configuration_run_where_they_are_named(trib, files):
    (files / "fan.test.yaml").write_text(CHECKED)
    (files / "trib.toml").write_text(HOOKS)
    (files / "own.py").write_text(OWN)
    assert trib("test", "fan.yaml").returncode == 0
    said = trib("test", "fan.yaml", "--hook", "validation", "-o", "json")
    assert said.returncode == 0, "one of its items may fail"
    (files / "fan.yaml").write_text(FLOW.replace("    tolerate: 1\n", ""))
    said = trib("test", "fan.yaml", "--hook", "validation", "-o", "json")
    (case,) = json.loads(said.stdout)["cases"]
    assert (said.returncode, case["state"], case["passed"]) == (1, "failed", False)
    said = trib("test", "fan.yaml", "--hook", "all", "-o", "json")
    (case,) = json.loads(said.stdout)["cases"]
    assert case["refusal"] == "ValueError: not today"
    said = trib("test", "fan.yaml", "--hook", "validatoin")
    assert said.returncode == 4
    assert "did you mean 'validation'?" in said.stderr


def test_what_cannot_be_run_is_refused_before_any_database_is_needed(cli, files, monkeypatch):
    monkeypatch.setenv("TRIB_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    said = cli("test", "fan.test.yaml", "--case", "pases")
    assert (said.code, said.out) == (4, "")
    assert "did you mean 'passes'?" in said.err
    assert cli("validate", "fan.test.yaml").code == 0
    (files / "fan.test.yaml").write_text(CASES.replace("sh: {attempt", "hs: {attempt"))
    for command in ("test", "validate"):
        said = cli(command, "fan.test.yaml")
        assert said.code == 3
        assert "unknown step 'hs' in expect [TRB104]" in said.err
    (files / "fan.test.yaml").unlink()
    said = cli("test", "fan.yaml")
    assert said.code == 3
    assert "fan.test.yaml: there is no such file" in said.err
    assert cli("test", "fan.yaml").err.count("NAME.test.yaml") == 1
