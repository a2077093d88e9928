"""Whether this code may use the schema it finds."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from tributary_daemon.errors import SchemaError
from tributary_daemon.store import db, faults
from tributary_daemon.store.migrations import files
from tributary_daemon.store.migrations.functions import Functions
from tributary_daemon.store.migrations.records import SchemaStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL = 1
"""The protocol this code speaks; a schema whose ``min_protocol`` is above it is refused."""

SCHEMA = "tributary"


def check_schema(
    connection: db.Connection, protocol: int = PROTOCOL, *, schema: str = SCHEMA
) -> SchemaStatus:
    """Compare the database's schema with this code: one small query.

    Args:
        connection: of any kind; a transaction in progress stays usable.
        protocol: the one the caller speaks.
        schema: where ``meta`` lives.

    Raises:
        DatabaseError: no permission, or the connection was lost.
    """
    statement = sql.SQL("SELECT key, value FROM {}").format(sql.Identifier(schema, "meta"))
    try:
        if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
            rows = connection.execute(statement).fetchall()
        else:
            with connection.transaction():
                rows = connection.execute(statement).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        if not connection.autocommit and connection.info.transaction_status == TransactionStatus.INERROR:
            connection.rollback()
        rows = []
    except psycopg.Error as error:
        raise faults.translate(error) from error
    return judge(dict(rows), protocol)


def judge(facts: Mapping[str, str], protocol: int = PROTOCOL) -> SchemaStatus:
    """Return the verdict on the rows of ``meta``; empty means that the schema is missing."""
    expected, digest = _packaged()
    version = facts.get("version", "")
    minimum = int(facts.get("min_protocol", "1"))
    current = facts.get("functions", "") == digest
    if minimum > protocol:
        return SchemaStatus("too_new", version, expected, minimum, current)
    if not version:
        return SchemaStatus("missing", "", expected, minimum, functions_current=False)
    if version < expected:
        return SchemaStatus("older", version, expected, minimum, current)
    if version == expected and facts.get("functions") == "":
        return SchemaStatus("unfinished", version, expected, minimum, functions_current=False)
    return SchemaStatus("newer_ok" if version > expected else "ok", version, expected, minimum, current)


@cache
def _packaged() -> tuple[str, str]:
    migrations = files.find(db.sql_dir() / "migrations")
    digest = Functions(db.sql_dir() / "functions", SCHEMA).digest
    return (migrations[-1].name if migrations else "", digest)


def too_new(status: SchemaStatus) -> SchemaError:
    """Return the error for a schema that this code must not touch."""
    return SchemaError(
        f"the schema was migrated by a newer release ({status.version or 'unknown version'}) and needs"
        f" protocol {status.min_protocol}; this one speaks {PROTOCOL}. Nothing was written",
        hint="upgrade tributary-daemon on this machine",
    )
