"""The database for the command that runs now: to look and steer, or also to submit."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tributary_daemon.cli import failures
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.client.client import Client
    from tributary_daemon.client.reader import Reader


@contextmanager
def opened() -> Iterator[Reader]:
    """Open the database that flags, environment and files name, to look and steer.

    Raises:
        DatabaseError: no connection, or the schema cannot be used.
    """
    with late("readers:open_reader")(settings(), say=failures.say) as reader:
        yield reader


@contextmanager
def submitting() -> Iterator[Client]:
    """Open the same database with all that a submit needs.

    Raises:
        DatabaseError: no connection, or the schema cannot be used.
    """
    with late("clients:open_client")(settings(), say=failures.say) as client:
        yield client
