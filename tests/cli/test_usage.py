"""What needs no database: parsing, help, suggestions, errors."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tributary_daemon.cli import failures
from tributary_daemon.cli.catalog import COMMANDS
from tributary_daemon.cli.loader import LazyGroup, late
from tributary_daemon.cli.main import EPILOG, main, trib
from tributary_daemon.cli.shared import SHARED, Command
from tributary_daemon.errors import NotPossible


def _commands(group=trib, path=()):
    for name, entry in group.entries.items():
        command = late(entry.place)
        yield (*path, name), entry, command
        if isinstance(command, LazyGroup):
            yield from _commands(command, (*path, name))


@pytest.mark.parametrize(("path", "entry", "command"), list(_commands()), ids=lambda value: str(value)[:40])
def test_every_command_says_what_it_does(path, entry, command):
    assert command.name == path[-1]
    assert command.help.partition("\n")[0].rstrip(".") == entry.summary
    context = click.Context(command, info_name=path[-1])
    assert command.get_help(context)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} of {' '.join(path)} is not explained"
            assert parameter.help.rstrip().endswith((".", "]")), parameter.help
    if not isinstance(command, LazyGroup):
        assert isinstance(command, Command)
        assert set(SHARED) <= set(command.params)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["no-such-command"]])
def test_nothing_heavy_is_imported_for_help(arguments):
    code = (
        "import sys\nfrom tributary_daemon.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'psycopg', 'pydantic', 'rich', 'yaml', 'structlog', 'asyncio', 'tributary_daemon.app'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_lists_every_command_and_exit_code(cli):
    said = cli("--help")
    assert said.code == 0
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", said.out, re.MULTILINE)
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 130):
        assert re.search(rf"\b{code} ", EPILOG)


def test_no_command_shows_help_and_is_a_usage_error(cli):
    said = cli()
    assert (said.code, said.out) == (2, "")
    assert "Usage: trib" in said.err


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["stauts"], "there is no command 'stauts'", "did you mean status"),
        (["queue", "puase", "x"], "there is no command 'puase'", "did you mean pause"),
        (["zzzzzz"], "there is no command 'zzzzzz'", "`trib --help` lists the commands"),
        (["plna", "x.yaml"], "there is no command 'plna'", "did you mean plan"),
        (["plan", "none.yaml"], "there is no file none.yaml", ""),
        (["graph", "./none.yaml"], "there is no file none.yaml", ""),
        (["fmt"], "missing argument 'FILE...'", "`trib fmt --help`"),
        (["fmt", "none.yaml"], "there is no file none.yaml", ""),
        (["convert", "none.yaml"], "missing option '--from'", ""),
        (["convert", "--from", "make", "x"], "'make' is not one of", ""),
        (["convert", "--from", "argo", "none.yaml"], "there is no file none.yaml", ""),
        (["schema", "-o", "no/such/folder/x.json"], "cannot write no/such/folder/x.json", ""),
        (["validate", "x.yaml", "-o", "xml"], "xml", ""),
        (["list", "--limt", "3"], "no such option '--limt'", "did you mean --limit?"),
        (["list", "--limit", "0"], "limit", "`trib list --help`"),
        (["list", "--state", "runing"], "runing", ""),
        (["status"], "missing argument 'ID'", "`trib status --help`"),
        (["status", "x", "-o", "xml"], "xml", ""),
        (["submit", "x.v1", "--in", "soon"], "'soon' is not a duration", ""),
        (["submit", "x.v1", "--at", "tomorrow"], "'tomorrow' is not a time", ""),
        (["submit", "x.v1", "--at", "2026-12-24T18:00:00"], "has no offset from UTC", ""),
        (["submit", "x.v1", "-i", "novalue"], "'novalue' is not of the form key=value", ""),
        (
            ["submit", "x.v1", "--in", "5m", "--at", "2026-12-24T18:00:00Z"],
            "--in and --at exclude each other",
            "",
        ),
        (["submit", "x.v1", "--timeout", "5m"], "--timeout bounds the waiting only", ""),
        (["retry", "abcdef12", "--timeout", "5m"], "add --wait or --watch", ""),
        (["submit", "x.v1", "--wiat"], "no such option '--wiat'\n", "did you mean --"),
        (["run", "x.v1", "--import", "./none.py"], "there is no file ./none.py", "`trib run --help`"),
        (["worker", "--import", "none/handlers.py"], "there is no file none/handlers.py", ""),
        (["submit", "-", "--payload", "-"], "standard input holds either", ""),
        (["submit", "x.v1", "--max-attempts", "0"], "max-attempts", ""),
        (
            ["submit", "flows/none.yaml"],
            "there is no file flows/none.yaml",
            "there is no folder flows either",
        ),
        (["run", "none.yaml"], "there is no file none.yaml", "give the path of a YAML file"),
        (["validate", "none.yaml"], "there is no file none.yaml", ""),
        (["register", "none.yaml"], "there is no file none.yaml", ""),
        (["worker", "--queues", "heavy:none"], "'heavy:none' is not a queue to serve", "heavy:4"),
        (["worker", "--queues", "a,a"], "queue 'a' is given twice", ""),
        (["completion", "tcsh"], "tcsh", ""),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_usage_errors_exit_2_and_say_what_to_do(cli, arguments, error, hint):
    said = cli(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert error in said.err
    assert "hint: " in said.err
    assert hint in said.err


def test_a_mistyped_file_names_the_one_beside_it(cli, tmp_path):
    (tmp_path / "signup.yaml").write_text("steps: {a: {run: 'true'}}")
    said = cli("submit", "./singup.yaml")
    assert said.code == 2
    assert "hint: did you mean signup.yaml?" in said.err


def test_validate_tells_good_from_bad(cli, tmp_path):
    (tmp_path / "good.yaml").write_text("steps:\n  hello: {run: echo hello}\n")
    (tmp_path / "bad.yaml").write_text("steps:\n  hello: {run: echo hello, needs: [helo]}\n")
    said = cli("validate", "good.yaml", "bad.yaml")
    assert said.code == 3
    assert said.out == "valid  good.yaml  good  1 step\n"
    assert "bad.yaml:2:36: unknown step 'helo' in needs [TRB104]" in said.err
    assert "did you mean 'hello'?" in said.err
    assert "1 problem in bad.yaml" in said.err
    rows = json.loads(cli("validate", "good.yaml", "bad.yaml", "-o", "json").out)
    assert [row["valid"] for row in rows] == [True, False]
    assert rows[1]["problems"][0] | {"message": "", "hint": ""} == {
        "code": "TRB104",
        "severity": "error",
        "message": "",
        "line": 2,
        "column": 36,
        "hint": "",
    }
    assert cli("validate", "good.yaml", "bad.yaml", "-o", "name").out == "good.yaml\n"


def test_validate_reads_standard_input():
    done = subprocess.run(
        [sys.executable, "-m", "tributary_daemon", "validate", "-"],
        input="steps:\n  hello: {task: shop.hello}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, "valid  -  stdin  1 step\n")
    assert "warning: " in done.stderr
    assert "[TRB122]" in done.stderr


def test_an_unexpected_error_exits_70_and_keeps_its_traceback(cli, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def broken(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("tributary_daemon.cli.commands.version.installed", broken)
    said = cli("version")
    assert said.code == 70
    assert said.err.startswith("error: internal error: ZeroDivisionError: division by zero\n")
    assert "Traceback" not in said.err
    place = re.search(r"the traceback is in (\S+)", said.err)[1]
    assert "ZeroDivisionError" in Path(place).read_text()
    monkeypatch.setenv("TRIB_DEBUG", "1")
    assert "Traceback" in cli("version").err


def test_an_expected_error_has_its_exit_code_and_hint(capsys):
    code = failures.report(NotPossible("it has ended", hint="`trib rerun` makes a new one"))
    assert code == 8
    assert capsys.readouterr().err == "error: it has ended\nhint: `trib rerun` makes a new one\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_exits_130(error):
    assert failures.report(error) == 130


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert failures.mark("error:", "red") != "error:"
    monkeypatch.setenv("NO_COLOR", "1")
    assert failures.mark("error:", "red") == "error:"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_trib(cli, shell):
    said = cli("completion", shell)
    assert said.code == 0
    assert f"_TRIB_COMPLETE={shell}_complete" in said.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trib st", {"plain,status"}),
        ("trib queue re", {"plain,resume"}),
        ("trib list --kind in", {"plain,intent"}),
        ("trib status x -o js", {"plain,json", "plain,jsonl"}),
        ("trib graph x -o m", {"plain,mermaid"}),
        ("trib convert --from a", {"plain,argo"}),
        ("trib explain retry.b", {"plain,retry.backoff", "plain,retry.budget"}),
        ("trib fmt wor", {"file,wor"}),
    ],
)
def test_completion_answers_a_shell(words, expected):
    done = subprocess.run(
        [sys.executable, "-m", "tributary_daemon"],
        env={
            "_TRIB_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert set(done.stdout.split()) == expected


def test_a_reader_that_goes_away_is_no_failure():
    done = subprocess.run(
        f"{sys.executable} -m tributary_daemon config show -o jsonl | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in {"0", "141"}


def test_config_show_tells_where_values_come_from(cli, monkeypatch, tmp_path):
    (tmp_path / "trib.toml").write_text('concurrency = 7\n[defaults]\nqueue = "slow"\n')
    monkeypatch.setenv("TRIB_LOG_LEVEL", "debug")
    said = cli(
        "--database-url", "postgresql://ada:secret@db/x", "config", "show", "--tenant", "acme", "-o", "json"
    )
    rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(said.out)}
    assert rows["database_url"] == ("postgresql://ada:***@db/x", "flag")
    assert rows["tenant"] == ("acme", "flag")
    assert rows["log_level"] == ("debug", "TRIB_LOG_LEVEL")
    assert rows["concurrency"] == ("7", str(tmp_path / "trib.toml"))
    assert rows["defaults.queue"] == ("slow", str(tmp_path / "trib.toml"))
    assert rows["beat"] == ("2s", "built-in")


def test_the_later_of_two_shared_options_wins(cli):
    said = cli("--tenant", "a", "config", "show", "--tenant", "b", "-o", "name")
    assert "tenant=b" in said.out.splitlines()


def test_version_in_every_format(cli):
    plain = cli("version", "-o", "name").out.strip()
    assert json.loads(cli("version", "-o", "json").out)["trib"] == plain
    assert f"trib: {plain}\n" in cli("version", "-o", "yaml").out
    assert len(cli("version", "-o", "jsonl").out.splitlines()) == 1
    assert plain in cli("version").out
    assert cli("--version").out == f"trib {plain}\n"


def test_stdout_that_knows_only_ascii_is_no_error(tmp_path):
    (tmp_path / "grüße.yaml").write_text("steps: {a: {run: 'true'}}")
    done = subprocess.run(
        [sys.executable, "-m", "tributary_daemon", "validate", "grüße.yaml"],
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C.UTF-8"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_main_takes_the_command_line_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["trib", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("trib ")
