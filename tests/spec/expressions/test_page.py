"""docs/expressions.md keeps up with the language."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tributary_daemon.cli.main import main
from tributary_daemon.spec.expressions import CONTEXTS, FUNCTIONS
from tributary_daemon.spec.expressions.parser import POWER
from tributary_daemon.spec.references import RUN_FIELDS, STEP_FIELDS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "expressions.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_every_function_has_a_row(function):
    assert any(f"`{function.name}(" in row for row in ROWS)


def test_every_operator_has_a_row():
    assert {
        operator for operator in POWER if not any(f"`{operator}`" in row.replace("\\", "") for row in ROWS)
    } == set()


def test_every_context_and_field_is_named():
    table = PAGE.partition("## Contexts")[2].partition("\n## ")[0]
    assert {name for name in CONTEXTS if f"`{name}`" not in table} == set()
    assert {name for name in RUN_FIELDS if f"`{name}`" not in table} == set()
    assert {name for name in STEP_FIELDS if f".{name}`" not in table} == set()


@pytest.mark.parametrize("example", re.findall(r"^\$ (trib eval .+)\n((?:.+\n)+?)```", PAGE, re.MULTILINE))
def test_examples_are_true(example, capsys):
    command, shown = example
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out == shown


def test_the_order_of_operators_is_that_of_the_table():
    table = PAGE.partition("## Operators")[2]
    places = {operator: table.index(f"`{operator}`") for operator in POWER if operator != "||"}
    ordered = sorted(places, key=lambda operator: places[operator])
    powers = [POWER[operator] for operator in ordered]
    assert powers == sorted(powers, reverse=True)
