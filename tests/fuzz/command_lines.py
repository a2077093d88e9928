# ruff: noqa: E501, SIM905 - lists of fragments; random text may be accepted or refused
"""Random command lines, in this process and without a database: an exit code, and never a fault of trib."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import click

from tests.fuzz.language import EXPRESSIONS, a_document, mutate
from tests.fuzz.values import JSON_WORDS, TIME_WORDS
from tributary_daemon.cli.main import main, trib

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

# what ends by itself, starts no process and writes nothing outside of its folder
COMMANDS = (
    "submit", "cancel", "retry", "pause", "resume", "change", "rerun", "status", "watch", "logs", "list", "why", "events",
    "validate", "plan", "graph", "fmt", "convert", "schema", "register", "eval", "explain", "workers", "handlers", "queue list",
    "queue set", "queue pause", "schedule add", "schedule list", "schedule backfill", "dlq list", "dlq requeue", "migrate status",
    "migrate create", "migrate roles", "config show", "prune", "version", "completion",
)  # fmt: skip
OPTIONS = (
    "-i --payload --key --queue --priority --in --at --max-attempts -l --timeout --strict --dry-run -o --state --kind "
    "--name --since --limit --after --from --only --json --context --jsonl --cron --timezone --intent --workflow --concurrency "
    "--rate --older-than --tenant --home --reason --unique --expires-in --all --dir --table --until --overlap --jitter --catchup "
    "--submit --read --help --version --no-such -- -"
).split()
WORDS = (
    "@latest", "a.b.v1", "wf.yaml", "broken.yaml", "missing.yaml", "/", "..", "@wf.yaml", "@missing", "-", "a=b", "a=", "=b", "1", "-1",
    "1e9", "json", "yaml", "jsonl", "table", "name", "0198a000-0000-7000-8000-00000abcdef0", "abcdef", "%", "*", "\udcff", "é😀", "",
    " ", "\n", "9" * 5_000, "{}", "[1]", '{"a": 1}', "* * * * *", "UTC", "100/s", "completed", "2026-01-01", "TRB101", "steps.x",
    "bash", "github",
)  # fmt: skip
EXITS = {0, 1, 2, 3, 4, 5, 6, 7, 8}
FAULT = 70
NOWHERE = "postgresql://u@127.0.0.1:1/none?connect_timeout=1"


@contextlib.contextmanager
def surroundings() -> Iterator[None]:
    """Work in a folder of its own, with a database that nobody answers for."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        own = {"HOME": folder, "TRIB_HOME": f"{folder}/home", "XDG_CONFIG_HOME": folder, "TMPDIR": folder}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRIB_", "PG"))}
        environ = {**kept, **own, "TRIB_DATABASE_URL": NOWHERE, "TRIB_EMBEDDED": "0"}
        with mock.patch.dict(os.environ, environ, clear=True):
            os.chdir(folder)
            try:
                yield
            finally:
                os.chdir(before)


def a_command_line(dice: random.Random) -> tuple[list[str], str]:
    """Return words after `trib`, and the text of the file wf.yaml."""
    command = dice.choice(COMMANDS)
    words = command.split()
    for _ in range(dice.choice((0, 1, 1, 2, 3, 5))):
        match dice.randrange(9):
            case 5 | 6 | 7 | 8:
                option, takes = dice.choice(_own_options(command))
                words += [option, dice.choice(WORDS)] if takes else [option]
            case 0:
                words.append(dice.choice(OPTIONS))
            case 1:
                words += [dice.choice(OPTIONS), dice.choice(WORDS)]
            case 2:
                words.append(dice.choice(WORDS))
            case 3:
                words.append(mutate(dice, dice.choice(EXPRESSIONS), JSON_WORDS, lines=False))
            case _:
                words.append("".join(dice.choices((*TIME_WORDS, *JSON_WORDS), k=2)))
    return [_typed(word) for word in words], a_document(dice)


@cache
def _own_options(command: str) -> tuple[tuple[str, bool], ...]:
    """Return the options of a command, and whether each takes a value."""
    found: click.Command = trib
    with click.Context(trib, info_name="trib") as context:
        for word in command.split():
            assert isinstance(found, click.Group)
            found = found.get_command(context, word) or found
    return tuple(
        (name, not option.is_flag)
        for option in found.params
        if isinstance(option, click.Option)
        for name in option.opts
    )


def _input() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(b'{"expr": "1", "contexts": {}}\n'), encoding="utf-8")


def _typed(word: str) -> str:
    """Return a word as a process gets it: bytes without a NUL, of which those that are no UTF-8 are escaped."""
    return word.replace("\0", "").encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


def try_command_line(given: tuple[list[str], str]) -> str:
    """Do what `trib` does with the words; return how it ended."""
    words, document = given
    Path("wf.yaml").write_text(document, encoding="utf-8", errors="surrogatepass")
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "stdin", _input()),
    ):
        code = main(words)
    assert code != FAULT, err.getvalue() + "".join(
        path.read_text() for path in Path.cwd().glob("trib-traceback-*.txt")
    )
    assert code in EXITS, f"exit {code}: {err.getvalue()}"
    assert code == 0 or err.getvalue() or out.getvalue(), "it fails and says nothing"
    return str(code)


KIND = ("command", a_command_line, try_command_line)
