"""The check that every command makes before it uses a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.errors import SchemaError
from tributary_daemon.store import db
from tributary_daemon.store.migrations import check
from tributary_daemon.store.migrations.lock import migration_lock
from tributary_daemon.store.migrations.migrator import LOCK, Migrator

if TYPE_CHECKING:
    from tributary_daemon.config import Config
    from tributary_daemon.store.migrations.records import SchemaStatus

_PATIENCE = 60.0  # seconds for a migration under way


def ensure_schema(url: str, config: Config, *, connection: db.Connection | None = None) -> SchemaStatus:
    """Make sure that this code can use the database's schema; one small query when all is well.

    A missing schema is created, unless ``auto_migrate = false``. An older one is upgraded only if
    ``auto_migrate`` was said on this very command line (``--auto-migrate``). Whoever migrates it at this
    moment is waited for.

    Args:
        url: database.
        config: its ``auto_migrate`` counts, and where it came from.
        connection: used for the query if given, so that none has to be opened.

    Raises:
        SchemaError: missing and not to be created, older, or too new for this code.
        DatabaseUnreachable: no connection.
    """
    status = _status(url, connection)
    if status.verdict in ("older", "unfinished"):
        with migration_lock(url, LOCK, timeout=_PATIENCE, waiting=lambda: None):
            status = _status(url, connection)
    if status.verdict == "too_new":
        raise check.too_new(status)
    if status.verdict == "missing":
        if not config.auto_migrate:
            raise SchemaError(
                "the database has no schema 'tributary', and auto_migrate = false forbids to create it",
                hint="run `trib migrate up`",
            )
    elif status.verdict in ("older", "unfinished"):
        if not (config.auto_migrate and config.source("auto_migrate") == "flag"):
            raise SchemaError(
                f"the schema is older than this release: {status.version}, needed {status.expected}"
                if status.verdict == "older"
                else f"the upgrade to {status.version} broke off before its functions were in place",
                hint="run `trib migrate up`, or give --auto-migrate",
            )
    else:
        return status
    Migrator(url, shards=config.shards).up()
    return _status(url, connection)


def _status(url: str, connection: db.Connection | None) -> SchemaStatus:
    if connection is not None:
        return check.check_schema(connection)
    with db.connect(url, application_name="trib") as own:
        return check.check_schema(own)
