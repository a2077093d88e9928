"""Types on the command line: `--import`, `--database`, and what `run` and `submit` refuse."""

from __future__ import annotations

import json

import psycopg
import pytest

from tributary_daemon.store import membership

HANDLERS = """
from pydantic import BaseModel
from tributary_daemon import handler

class Box(BaseModel):
    width: int

@handler("shop.box.v1")
def box(width: int) -> Box:
    return Box(width=width)
"""
WRONG = """name: shop.wrong.v1
steps:
  a: {task: shop.box.v1, with: {width: wide}}
  b: {task: trib.noop.v1, with: {x: "${{ steps.a.result.widht }}"}}
"""
BOX = {
    "name": "shop.box.v1",
    "input_schema": {"type": "object", "properties": {"width": {"type": "integer"}}, "required": ["width"]},
    "output_schema": {"type": "object", "properties": {"width": {"type": "integer"}}},
}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "boxes.py").write_text(HANDLERS)
    (tmp_path / "wrong.yaml").write_text(WRONG)
    return tmp_path


@pytest.mark.parametrize("command", ["run", "submit", "register"])
def test_imported_handlers_refuse_a_file(trib, files, command):
    said = trib(command, "wrong.yaml", "--import", "./boxes.py", cwd=files)
    assert said.returncode == 3, said.stderr
    assert (
        "wrong.yaml:3:40: `with.width` must be an integer, not 'wide' (shop.box.v1) [TRB153]" in said.stderr
    )
    assert "wrong.yaml:4:38: `steps.a.result` has no 'widht'" in said.stderr
    assert "did you mean 'width'? it has: width" in said.stderr


def test_the_registry_is_asked_when_told(trib, files, database):
    with psycopg.connect(database, autocommit=True) as connection:
        membership.register_handlers(connection, [BOX])
    assert trib("validate", "wrong.yaml", cwd=files).returncode == 0
    said = trib("validate", "wrong.yaml", "--database", "-o", "json", cwd=files)
    assert said.returncode == 3
    (row,) = json.loads(said.stdout)
    assert [(problem["code"], problem["line"]) for problem in row["problems"]] == [
        ("TRB153", 3),
        ("TRB154", 4),
    ]


def test_unknown_handlers_are_named_where_handlers_are(trib, files):
    (files / "unknown.yaml").write_text("name: a.v1\nsteps: {a: {task: shop.bix.v1}}\n")
    said = trib("validate", "unknown.yaml", "wrong.yaml", "--import", "./boxes.py", cwd=files)
    assert said.returncode == 3
    assert said.stdout.startswith("valid  unknown.yaml")
    assert "warning: no handler 'shop.bix.v1' is known [TRB150]" in said.stderr
    assert "did you mean 'shop.box.v1'?" in said.stderr
    assert "wrong.yaml:3:40: `with.width` must be an integer" in said.stderr
    assert trib("validate", "unknown.yaml", "--import", "./boxes.py", "--strict", cwd=files).returncode == 3


def test_r14_strict_refuses_an_unknown_handler_wherever_it_is_not_known(trib, files):
    (files / "unknown.yaml").write_text("name: a.v1\nsteps: {a: {task: shop.bix.v1}}\n")
    assert trib("validate", "unknown.yaml", cwd=files).returncode == 0
    said = trib("validate", "unknown.yaml", "--strict", cwd=files)
    assert said.returncode == 3
    assert "no handler 'shop.bix.v1' is known [TRB150]" in said.stderr
    assert "name its module (--import, TRIB_HANDLERS)" in said.stderr


def test_a_module_that_does_not_import_is_an_error(trib, files):
    (files / "broken.py").write_text("raise RuntimeError('no')\n")
    said = trib("validate", "wrong.yaml", "--import", "./broken.py", cwd=files)
    assert said.returncode == 2
    assert "does not import: RuntimeError: no" in said.stderr
