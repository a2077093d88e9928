"""Every example: its file is valid, strictly, and its handlers are here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tributary_daemon.client.local import Local
from tributary_daemon.handlers.discovery import discover
from tributary_daemon.spec.loader import load_file

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
TESTS = sorted(WORKFLOWS.glob("*.test.yaml"))
FILES = sorted(set(WORKFLOWS.glob("*.yaml")) - set(TESTS))


@pytest.fixture(scope="module")
def offered():
    found = discover([str(path) for path in sorted(WORKFLOWS.glob("*.py"))])
    assert found.failures == ()
    return found.registry


def test_the_examples_are_here():
    assert {path.stem for path in FILES} >= {"stdlib_census", "user_signup", "order", "retry_demo"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_file_is_valid_and_its_handlers_exist(path, offered):
    spec = load_file(path, strict=True, signatures=Local(registry=offered, complete=True))
    assert spec.warnings == ()
    assert {step.name for step in spec.steps if step.name not in offered} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_file_says_how_to_run_it(path):
    assert f"#   trib run workflows/{path.name}" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_cases_of_an_example_pass(trib, path):
    said = trib("test", path, "-o", "json")
    assert said.returncode == 0, said.stdout + said.stderr
    told = json.loads(said.stdout)
    assert told["failed"] == 0
    assert [case["name"] for case in told["cases"] if case["passed"]]
