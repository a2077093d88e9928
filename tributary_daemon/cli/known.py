"""The handlers that a command checks workflow files against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tributary_daemon.cli import values
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

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


class OnDemand:
    """Handlers that are imported, or read from the registry, only when a graph is to be inferred."""

    complete = False

    def __init__(self) -> None:
        self._found: Local | None = None

    def get(self, name: str) -> Known | None:
        """Return the handler of that name, if handlers were needed before."""
        return None if self._found is None else self._found.get(name)

    def names(self) -> Collection[str]:
        """Return the names known so far."""
        return () if self._found is None else self._found.names()

    def levels(self) -> Iterator[Sequence[Known]]:
        """Yield what can be imported here; then what workers have registered beside it."""
        if self._found is None:
            self._found = late("handling:Local")(
                load=lambda: late("handling:require")(settings().handlers),
                registered=lambda: read_registry(quiet=True),
            )
        yield from self._found.levels()


def read_registry(*, quiet: bool = False) -> Sequence[Known]:
    """Read what workers have registered.

    Args:
        quiet: the command says by itself which database it uses.

    Raises:
        DatabaseError: no connection, or the schema cannot be used.
    """
    rows: Sequence[Known] = late("registry:read_registry")(settings(), quiet=quiet)
    return rows
