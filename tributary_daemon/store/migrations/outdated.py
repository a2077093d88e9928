"""Functions whose signature has changed: the old ones go when no statement can be about to call them.

A statement looks up the functions that it calls one after the other, as it comes to them. One that began
before an upgrade is inside a function of the old text, and would not find what that calls if it were dropped
at once.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tributary_daemon.store.migrations.lock import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import sql

    from tributary_daemon.store import db

# The longest that statements which began before are waited for; an exchange takes milliseconds.
_PATIENCE = 10.0
# And transactions between two statements: the next one may still enter a function as it was at their begin.
_BETWEEN = 1.0
_PAUSE = 0.02

_DROP = re.compile(r"^drop function if exists ([^;]+);\n", re.IGNORECASE | re.MULTILINE)

# All that may be inside a function, whoever's it is. What a session does is hidden from users who are not
# members of its role; then it counts as at work. Autovacuum has no user.
_AT_WORK = """SELECT l.virtualtransaction, COALESCE(a.state, '') LIKE 'idle%%'
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND a.datname = current_database() AND a.usesysid IS NOT NULL
  AND l.pid <> pg_backend_pid() AND a.application_name <> %s"""


def split(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a file's text without its ``drop function`` statements, and the signatures that these name."""
    return _DROP.sub("", text), tuple(_DROP.findall(text))


def drops(signatures: Sequence[str]) -> list[str]:
    """Return the statements that drop these."""
    return [f"DROP FUNCTION IF EXISTS {signature}" for signature in signatures]


def find(connection: db.Connection, scope: sql.Composed, signatures: Sequence[str]) -> list[str]:
    """Return those of the signatures that exist; ``scope`` lets a transaction name the schema's types."""
    with connection.transaction():
        connection.execute(scope)
        query = "SELECT s FROM unnest(%s::text[]) AS s WHERE to_regprocedure(s) IS NOT NULL"
        return [signature for (signature,) in connection.execute(query, (list(signatures),))]


def wait(connection: db.Connection, waiting: Callable[[], None]) -> None:
    """Wait until the transactions of now have ended: ten seconds at most, one for those between statements.

    What takes longer may fail, and has to be called again: workers do that by themselves.

    Args:
        connection: autocommit.
        waiting: called once, if any of them goes on.
    """
    start = time.monotonic()
    before = {transaction for transaction, _ in connection.execute(_AT_WORK, (SESSION,))}
    told = False
    while before and (waited := time.monotonic() - start) < _PATIENCE:
        time.sleep(_PAUSE)
        rows = connection.execute(_AT_WORK, (SESSION,)).fetchall()
        before &= {transaction for transaction, between in rows if not between or waited < _BETWEEN}
        if before and not told:
            waiting()
            told = True
