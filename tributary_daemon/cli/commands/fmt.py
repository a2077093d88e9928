"""``trib fmt``."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.commands.files import must_exist, without_tests
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_file
from tributary_daemon.tools.formatting import formatted
from tributary_daemon.tools.yaml_tree import Unformattable

_EPILOG = """\b
Keys come in the order of the language, indentation is two spaces, values with ${{ }} are quoted.
Comments and empty lines stay where they belong. A file is only changed when it means the same
afterwards. `-` formats standard input to stdout. Exit 1: --check found a file to format.

\b
Examples:
  trib fmt workflows/*.yaml
  trib fmt --check workflows/*.yaml
  trib fmt --diff etl.yaml
  trib fmt - < etl.yaml"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--check", is_flag=True, help="Change nothing; exit 1 when a file is not in its usual form.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would be changed.")
def fmt(*, files: tuple[str, ...], check: bool, diff: bool) -> int:
    """Bring workflow files into their usual form, comments included."""
    must_exist(files)
    files = without_tests(files)
    code = failures.COMPLETED
    unlike = 0
    for file in files:
        try:
            before = sys.stdin.read() if file == "-" else _text(Path(file))
            after = formatted(before, file=file)
        except InvalidWorkflow as error:
            failures.say_refused(error)
            code = code or error.exit_code
            continue
        except Unformattable as error:
            failures.say_error(error.message, error.hint)
            code = code or error.exit_code
            continue
        differs = after != before
        unlike += differs
        if diff:
            click.echo(_difference(before, after, file), nl=False)
        elif check:
            if differs:
                failures.say(f"would format {file}")
        elif file == "-":
            click.echo(after, nl=False)
        elif differs:
            _replace(Path(file), after)
            failures.say(f"formatted {file}")
    if check and unlike and not code:
        return failures.FAILED
    return code


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        # the loader says what is wrong with it, and where
        load_file(path)
        raise


def _difference(before: str, after: str, file: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), file, f"{file} (formatted)"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _replace(path: Path, text: str) -> None:
    """Put the text in the place of a file in one go: whoever reads it sees the old one or the new one."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        shutil.copymode(target, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
