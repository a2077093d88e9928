"""From a configuration to its database: the part of the composition root that every command needs.

It knows nothing of submitting and of daemons, so that commands which only look answer quickly.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tributary_daemon.client.link import Wiring
from tributary_daemon.client.options import Settings
from tributary_daemon.client.reader import Reader
from tributary_daemon.daemon import embedded
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store.migrations import ensure_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.config import Config
    from tributary_daemon.store.db import Connection

    Say = Callable[[str], None]


def open_reader(config: Config, *, say: Say | None = None) -> Reader:
    """Return a reader, connected, on a database whose schema this code can use.

    Args:
        config: where the database is; a missing schema is created unless it forbids that.
        say: told when the embedded database is used; stderr unless given.

    Raises:
        DatabaseUnreachable: no connection, or no database is configured and none may be started.
        SchemaError: the schema cannot be used.
        EmbeddedError: the embedded server does not start.
    """
    reader = Reader(wired(config, say=say), Settings.of(config))
    reader.connect()
    return reader


def wired(config: Config, *, say: Say | None = None) -> Wiring:
    """Return how a client comes to the database of a configuration."""
    found: list[str] = []

    def url() -> str:
        # said and started once; a server that is gone later is started again by the next client
        if not found:
            found.append(database_url(config, say=say))
        return found[0]

    def prepare(at: str, connection: Connection) -> None:
        ensure_schema(at, config, connection=connection)

    return Wiring(url, prepare, config.listen_url)


def database_url(config: Config, *, say: Say | None = None) -> str:
    """Return the libpq URL of the database, starting the embedded server if that is what is used.

    Raises:
        DatabaseUnreachable: no database is configured and none may be started.
        EmbeddedError: the embedded server does not start.
    """
    if config.database_url is not None:
        return config.database_url
    if config.embedded is False or (config.embedded is None and not embedded.allowed(os.environ)):
        raise DatabaseUnreachable(
            "no database is configured, and the embedded PostgreSQL is not to be started here",
            hint="set TRIB_DATABASE_URL, or TRIB_EMBEDDED=1 for the embedded one",
        )
    (say or _on_stderr)(f"using the embedded PostgreSQL in {config.home}")
    return embedded.ensure_running(config.home)


def _on_stderr(message: str) -> None:
    sys.stderr.write(f"{message}\n")
