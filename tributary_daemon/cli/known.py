"""The handlers that a command checks workflow files against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tributary_daemon.cli import values
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.client.local import Local
    from tributary_daemon.spec.signatures import Known

imports_option = click.option(
    "--import",
    "imports",
    multiple=True,
    type=values.module,
    metavar="MODULE",
    help="Module or ./file.py whose handlers a file is checked against; repeatable.",
)
"""Of commands that check files."""


def imported(imports: Sequence[str], *, complete: bool = False, rows: Sequence[Known] = ()) -> Local:
    """Return the handlers of the modules that were named, and of installed packages; imports them.

    Args:
        imports: modules or files of ``--import``; else those of ``TRIB_HANDLERS``.
        complete: a name found nowhere deserves a warning.
        rows: those of the registry.

    Raises:
        HandlerError: a module that was named does not import, or its handlers are declared wrongly.
    """
    local = late("handling:Local")
    late("handling:require")(settings(handlers=imports).handlers)
    found: Local = local(complete=complete, rows=rows)
    return found


def on_demand() -> Local:
    """Return handlers that are imported, or read from the registry, only when a graph is to be inferred."""
    local = late("handling:Local")
    found: Local = local(load=lambda: late("handling:require")(settings().handlers), registered=read_registry)
    return found


def read_registry() -> Sequence[Known]:
    """Read what workers have registered.

    Raises:
        DatabaseError: no connection, or the schema cannot be used.
    """
    rows: Sequence[Known] = late("handling:read_registry")(settings())
    return rows
