"""A database of its own, for as long as it is needed."""

from __future__ import annotations

import secrets

import psycopg
from psycopg import conninfo, sql

from tributary_daemon.errors import DatabaseError
from tributary_daemon.store import db


class ScratchDatabase:
    """A database with a name of its own on a server.

    Attributes:
        url: of the database.

    Args:
        server: URL; its user must be allowed to create databases.
        purpose: what it is for; part of its name, and of the application's.
    """

    def __init__(self, server: str, purpose: str) -> None:
        self._server = server
        self._purpose = purpose
        self._name = f"trib_{purpose}_{secrets.token_hex(6)}"
        self.url = conninfo.make_conninfo(server, dbname=self._name)

    def make(self) -> None:
        """Create it.

        Raises:
            DatabaseError: the user may not do that.
        """
        try:
            self._administer(sql.SQL("create database {}").format(sql.Identifier(self._name)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                "this user may not create databases, and tests run on databases of their own",
                hint="name another server or user, or unset TRIB_DATABASE_URL to use the embedded one",
            ) from error

    def drop(self) -> None:
        """Drop it, whoever is connected."""
        self._administer(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(self._name))
        )

    def _administer(self, statement: sql.Composed) -> None:
        with db.connect(self._server, application_name=f"trib {self._purpose}") as connection:
            connection.execute(statement)
