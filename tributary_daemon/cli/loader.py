"""Groups whose commands are imported on use, so that ``trib --help`` imports nothing but click."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a command lives.

    Attributes:
        place: ``module:attribute`` below ``tributary_daemon.cli``.
        summary: the line shown in ``--help``; equal to the command's own first line.
        section: heading of the help page under which it stands.
    """

    place: str
    summary: str
    section: str = "Commands"


class UnknownCommand(click.UsageError):
    """A command that does not exist; ``hint`` names the nearest ones."""

    def __init__(self, name: str, known: list[str], context: click.Context) -> None:
        super().__init__(f"there is no command '{name}'", ctx=context)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        self.hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else f"`{context.command_path} --help` lists the commands"
        )


def late(place: str) -> Any:
    """Import ``module:attribute`` below ``tributary_daemon.cli``: the one late import of the CLI."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(f"tributary_daemon.cli.{module}"), attribute)


class LazyGroup(click.Group):
    """A group that knows names and summaries of its commands, and imports one when it is used."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's face
        """Return the names in the order of the catalogue."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, None when there is none of that name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command = late(entry.place)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of ``args``.

        Raises:
            UnknownCommand: with the nearest names.
        """
        name = args[0]
        if name not in self.entries and not name.startswith("-") and not ctx.resilient_parsing:
            raise UnknownCommand(name, list(self.entries), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands under their sections, without importing any."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            sections.setdefault(entry.section, []).append((name, entry.summary))
        width = max(len(name) for name in self.entries)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands, without importing any."""
        item = late("completing:item")
        found = [
            item(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)
