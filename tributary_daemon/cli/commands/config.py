"""``trib config show``."""

from __future__ import annotations

from typing import Final

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Span, Table
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command

_ENTRIES: Final = {
    "show": Entry("commands.config:show_", "Show every setting, its value and where it comes from")
}


@click.command(cls=LazyGroup, entries=_ENTRIES)
def config() -> None:
    """Show the settings and where each one comes from."""


@click.command(
    "show",
    cls=Command,
    epilog="""\b
Flags win over the environment (TRIB_*), this over a credential of systemd, this over
./trib.toml, this over ~/.config/trib/config.toml. Passwords are masked.
docs/configuration.md explains each setting.

\b
Examples:
  trib config show
  trib config show -o json""",
)
@output_option
def show_(output: str) -> int:
    """Show every setting, its value and where it comes from."""
    rows = [
        {"name": name, "value": value or None, "source": source} for name, value, source in settings().rows()
    ]
    table = Table(
        ("setting", "value", "source"),
        tuple(
            (
                Span(str(row["name"]), "name"),
                Span(row["value"] or "-", "" if row["value"] else "faint"),
                Span(str(row["source"]), "faint" if row["source"] == "built-in" else "good"),
            )
            for row in rows
        ),
    )
    show(View(rows, [f"{row['name']}={row['value'] or ''}" for row in rows], lambda: [table]), output)
    return failures.COMPLETED
