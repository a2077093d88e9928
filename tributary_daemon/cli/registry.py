"""The registry of the database; imported when a command checks files against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.cli import failures
from tributary_daemon.client.registered import handlers
from tributary_daemon.store import db
from tributary_daemon.store.migrations import ensure_schema
from tributary_daemon.wiring import database_url

if TYPE_CHECKING:
    from tributary_daemon.config import Config
    from tributary_daemon.spec.signatures import Known


def read_registry(config: Config, *, quiet: bool) -> list[Known]:
    """Read what workers have registered.

    Args:
        config: where the database is.
        quiet: do not tell that the embedded database is used.

    Raises:
        DatabaseError: no connection, or the schema cannot be used.
    """
    url = database_url(config, say=_nothing if quiet else failures.say)
    with db.connect(url, application_name="trib") as connection:
        ensure_schema(url, config, connection=connection)
        return db.run(connection, handlers())


def _nothing(_: str) -> None:
    """Whoever goes on to submit says it."""
