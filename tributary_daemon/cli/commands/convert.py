"""``trib convert``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.commands.files import must_exist
from tributary_daemon.cli.shared import Command
from tributary_daemon.tools.convert import CONVERTERS

_EPILOG = """\b
The result goes to stdout. What has no counterpart stays in it as a comment, `# not converted: …` with
its line in the source; stderr counts them. Look at these before you run it, then `trib validate` it.

\b
Examples:
  trib convert --from github .github/workflows/etl.yml > etl.yaml
  trib convert --from argo workflow.yaml -o etl.yaml
  trib convert --from dagu - < dag.yaml"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "--from", "tool", type=click.Choice(sorted(CONVERTERS)), required=True, help="What FILE was written for."
)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    type=click.Path(),
    help="Write it to this file; it must not exist.",
)
def convert(*, file: str, tool: str, target: str | None) -> int:
    """Convert a workflow of GitHub Actions, Argo or Dagu."""
    must_exist([file])
    source = sys.stdin.read() if file == "-" else _text(Path(file))
    made = CONVERTERS[tool](source, "converted" if file == "-" else Path(file).stem)
    if target in (None, "-"):
        click.echo(made.text, nl=False)
    else:
        _write(Path(str(target)), made.text)
    left = len(made.notes)
    steps = "1 step" if made.steps == 1 else f"{made.steps} steps"
    failures.say(f"{steps} converted, {left} thing{'s' if left != 1 else ''} not")
    for note in made.notes:
        failures.say(f"  {note.said()}")
    return failures.COMPLETED


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise click.UsageError(f"cannot read {path}: {str(reason).lower()}") from None


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise click.UsageError(f"{path} exists already; choose another name, or remove it") from None
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
