"""Options that every command takes, given before or after its name; the later one wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import click


@dataclass(slots=True)
class Shared:
    """What the shared options of one command line said.

    Attributes:
        flags: settings by the name they have in the configuration; only those that were given.
    """

    flags: dict[str, Any] = field(default_factory=dict)


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        ctx.ensure_object(Shared).flags[parameter.name] = value


def _option(*names: str, **attributes: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_keep, default=None, **attributes)


SHARED: Final = (
    _option("--database-url", metavar="URL", help="libpq URL of the database [env: TRIB_DATABASE_URL]."),
    _option("--tenant", metavar="NAME", help="Tenant to work for [env: TRIB_TENANT]."),
    _option("--home", metavar="DIR", help="Where the embedded database lives [env: TRIB_HOME]."),
    _option(
        "--auto-migrate/--no-auto-migrate",
        help="Bring an older schema up first, or forbid any change of it [env: TRIB_AUTO_MIGRATE].",
    ),
)


class Command(click.Command):
    """A command with the shared options, which its help page lists last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *SHARED]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the shared ones."""
        shared = set(map(id, SHARED))
        for title, wanted in (("Options", False), ("Shared options", True)):
            rows = [
                record
                for parameter in self.get_params(ctx)
                if (id(parameter) in shared) is wanted
                and (record := parameter.get_help_record(ctx)) is not None
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
