"""docs/cli.md and the units keep up with the commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tributary_daemon.cli import manual, units
from tributary_daemon.cli.catalog import COMMANDS
from tributary_daemon.cli.loader import LazyGroup, late
from tributary_daemon.errors import NotFound
from tributary_daemon.spec import codes

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_has_every_command_and_option(name):
    assert re.search(rf"^### .*\b{name}\b", PAGE, re.MULTILINE)
    command = late(COMMANDS[name].place)
    inner = (
        [late(entry.place) for entry in command.entries.values()] if isinstance(command, LazyGroup) else []
    )
    for one in (command, *inner):
        assert one is command or one.name in PAGE
        for option in one.params:
            if isinstance(option, click.Option):
                assert any(f"{word}" in PAGE for word in option.opts), f"{option.opts} of {name}"


def test_the_page_has_every_exit_code():
    table = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    codes_shown = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert codes_shown == [0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 130, 141]


def test_every_code_of_a_workflow_fault_is_explained():
    known = {value for name, value in vars(codes).items() if name.isupper() and str(value).startswith("TRB")}
    assert known
    assert known <= set(manual.entries())
    for code in known:
        title, _, body = manual.entry(code).partition("\n")
        assert code in title
        assert len(body) > 20


def test_an_unknown_code_is_not_found(cli):
    with pytest.raises(NotFound):
        manual.entry("TRB999")
    said = cli("explain", "TRB999")
    assert said.code == 4
    assert "hint: " in said.err
    assert "TRB104" in cli("explain", "trb104").out


@pytest.mark.parametrize("name", [units.SERVICE, units.TEMPLATE])
def test_the_service_starts_a_worker_with_options_that_exist(name):
    text = (ROOT / "systemd" / name).read_text(encoding="utf-8")
    command = shlex.split(re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)[1])
    assert command[1] == "worker"
    worker = late(COMMANDS["worker"].place)
    worker.make_context("worker", command[2:])


def test_the_columns_that_sql_md_names_exist(connection):
    page = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `([\w ]+)` \|$", page, re.MULTILINE)
    assert len(rows) >= 9
    for relation, columns in rows:
        found = connection.execute(
            "select column_name from information_schema.columns"
            " where table_schema = 'tributary' and table_name = %s",
            [relation],
        )
        assert set(columns.split()) <= {row[0] for row in found}, relation
