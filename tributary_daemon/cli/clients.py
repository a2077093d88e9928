"""What submits; it needs handlers and workflows too, so importing it takes longest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.client.client import Client
from tributary_daemon.client.options import Settings
from tributary_daemon.hooks.loading import make
from tributary_daemon.wiring import wired

if TYPE_CHECKING:
    from tributary_daemon.config import Config
    from tributary_daemon.wiring import Say


def open_client(config: Config, *, say: Say | None = None) -> Client:
    """Return a client, connected, on a database whose schema this code can use.

    It cannot run work inline: `tributary_daemon.app` could, and would load all that starts processes.

    Args:
        config: where the database is; a missing schema is created unless it forbids that.
        say: told when the embedded database is used; stderr unless given.

    Raises:
        DatabaseUnreachable: no connection, or no database is configured and none may be started.
        SchemaError: the schema cannot be used.
        EmbeddedError: the embedded server does not start.
        ConfigError: a hook cannot be made.
    """
    client = Client(wired(config, say=say), Settings.of(config), hooks=make(config.hooks))
    client.connect()
    return client
