"""The recipes: run by one worker, and what the guide says of them comes out."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.worker_process import launch, own_env
from tributary_daemon.app import Client
from tributary_daemon.spec.loader import load_file

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "workflows" / "recipes").glob("*.yaml"))
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
# - `trib run FILE OPTIONS` ends `STATE`, result|steps `JSON`.
SAID = re.findall(
    r"^- `trib run workflows/recipes/(\S+)\.yaml([^`]*)` ends `(\w+)`, (result|steps)\s+`([^`]*)`\.$",
    GUIDE,
    re.MULTILINE,
)


def inputs_of(options):
    """Return what `-i NAME=VALUE` gives, a value as JSON where it is some."""
    words = shlex.split(options.replace('"', '\\"'))
    assert words[::2] == ["-i"] * (len(words) // 2)
    given = {}
    for word in words[1::2]:
        name, _, value = word.partition("=")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return given


@pytest.fixture(scope="module")
def ended(server, template, tmp_path_factory, eventually, nursery):
    """Every run that the guide tells of, all submitted at once to one worker with shell steps; in order."""
    name = f"test_{secrets.token_hex(6)}"
    home = tmp_path_factory.mktemp("recipes")
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
    try:
        with Client(url) as client:
            runs = [
                client.submit(str(ROOT / f"workflows/recipes/{recipe}.yaml"), inputs_of(options)).id
                for recipe, options, *_ in SAID
            ]
            process = launch(
                nursery,
                ["worker", "--processes", "1", "--enable-shell"],
                own_env(url, home),
                home,
                home / "log",
            )
            try:
                eventually(
                    lambda: all(client.get(run).ended for run in runs), 40,
                    lambda: [(said[0], client.get(run).state) for said, run in zip(SAID, runs, strict=True)],
                )  # fmt: skip
                yield [client.get(run) for run in runs]
                process.terminate()
                process.wait(20)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                print((home / "log").read_text(errors="replace"))
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.mark.parametrize(
    "number", range(len(SAID)), ids=[f"{recipe}{options}" for recipe, options, *_ in SAID]
)
def test_what_the_guide_says_comes_out(number, ended):
    _, _, state, what, said = SAID[number]
    run = ended[number]
    assert run.state == state, run.error
    shown = run.result if what == "result" else {step.id: step.state for step in run.steps.values()}
    assert shown == json.loads(said)


def test_the_failed_hook_run_told_its_reason_and_so_did_the_others(ended):
    runs = {f"{recipe}{options}": run for (recipe, options, *_), run in zip(SAID, ended, strict=True)}
    assert runs["hooks -i broken=true"].steps["alert"].result == {"text": "work: the disk is full"}
    assert runs["fan_out"].steps["fetch"].items == {"completed": 3, "discarded": 1}
    assert runs["timeout"].steps["slow"].error.reason == "timeout"
    # any other exit code than 75 is not tried again
    assert runs["retry -i code=2"].steps["busy"].attempt == 1


def test_every_recipe_is_in_the_guide_and_the_other_way_round():
    names = {path.stem for path in FILES}
    assert len(names) == 14
    assert {recipe for recipe, *_ in SAID} == names
    assert set(re.findall(r"\]\(\.\./workflows/recipes/(\w+)\.yaml\)", GUIDE)) == names
    # no claim of the guide is written so that it is not checked
    assert len(SAID) == GUIDE.count("- `trib run workflows/recipes/")


def test_the_workflow_written_out_in_the_guide_is_one(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "hello.yaml").write_text(text)
    (step,) = load_file(tmp_path / "hello.yaml").steps
    assert step.id == "hello"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_recipe_is_valid_strictly_and_says_how_to_run_it(path):
    assert load_file(path, strict=True).warnings == ()
    assert f"#   trib run workflows/recipes/{path.name}" in path.read_text(encoding="utf-8")
