"""The root of ``trib``: one command line in, one exit code out."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import command_line, failures
from tributary_daemon.cli.catalog import COMMANDS
from tributary_daemon.cli.loader import LazyGroup, late
from tributary_daemon.cli.shared import SHARED, Shared

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG = """\b
Examples:
  trib run workflows/stdlib_census.yaml --import ./workflows/census.py --concurrency 2
  trib submit user.signup.v1 -i email=ada@example.com --watch
  trib worker --queues default,heavy:4
  trib why @latest

\b
Without TRIB_DATABASE_URL an embedded PostgreSQL is started on first need.
Exit codes: 0 completed, 1 failed, 2 usage, 3 invalid, 4 not found, 5 not ended,
6 cancelled, 7 database, 8 not possible now, 70 internal error, 130 interrupted."""


class Root(LazyGroup):
    """The root group; a reader that went away (``trib list | head``) is no error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and return its exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # whatever is still buffered must not fail again when the interpreter flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return failures.BROKEN_PIPE
        return code


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's face
    if wanted and not ctx.resilient_parsing:
        click.echo(f"trib {late('versions:installed')()}")
        ctx.exit()


@click.command(
    cls=Root,
    entries=COMMANDS,
    epilog=EPILOG,
    params=[
        *SHARED,
        click.Option(
            ["--version", "-V"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Print the version and exit.",
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
def trib() -> None:
    """Durable work in PostgreSQL: workflows in YAML and single intents, worked off by `trib worker`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``trib`` and return its exit code.

    Args:
        arguments: the command line without the program's name; None for that of this process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if arguments is None:
        command_line.hide_passwords()
    try:
        code = trib.main(arguments, prog_name="trib", standalone_mode=False, obj=Shared())
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the one place where everything ends as an exit code
        return failures.report(error)
    return code if isinstance(code, int) else failures.COMPLETED
