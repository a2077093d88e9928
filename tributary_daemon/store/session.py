"""The first words on a connection: who is at the other end, which limits and which form the session gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# qualified: a search_path may put functions of the same names before the server's
_READ: Final = """
    select pg_catalog.pg_backend_pid(), pg_catalog.current_setting('default_transaction_isolation'),
           pg_catalog.current_setting('DateStyle'), pg_catalog.current_setting('array_nulls'),
           pg_catalog.current_setting('search_path'), pg_catalog.current_setting('idle_session_timeout')
"""
_SET: Final = "pg_catalog.set_config(%s, %s, false)"
_READ_COMMITTED: Final = "read committed"

# The server, too, notices a peer that is gone within 30 s: until then it keeps that peer's row locks.
_NETWORK: Final = {
    "tcp_keepalives_idle": "20s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "30s",
}

OWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        **_NETWORK,
        # longer than a client waits in silence: what was given up may still end, and its repeat finds that
        "statement_timeout": "60s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
    }
)
"""Limits of the sessions in which a worker runs its own statements."""

STEP: Final[Mapping[str, str]] = MappingProxyType(_NETWORK)
"""Limits of `step.connection()`: how long its statements take is the handler's business."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who answered.

    Attributes:
        pooled: a pooler stands between: the login was answered by somebody else than the statement.
        isolation: default isolation level of transactions.
        dates: how times are written.
        nulls: whether NULL in an array is null.
        path: where names are looked up that have no schema.
        idle: after how long a session at rest is ended; 0 is never.
    """

    pooled: bool
    isolation: str
    dates: str
    nulls: str
    path: str
    idle: str

    def mends(self, limits: Mapping[str, str]) -> dict[str, str]:
        """Return the settings without which our statements would fail or mean something else.

        They come from the role, the database or the server's configuration, where somebody made them for
        other programs. Through a pooler only what it keeps apart for each client is set. In the sessions of
        steps, handlers find names and isolation as they are.

        Args:
            limits: those of the session (`OWN`, `STEP`); they tell whose it is.
        """
        mends = {}
        if not self.dates.startswith("ISO"):
            # no other style is read by psycopg
            mends["DateStyle"] = "ISO"
        if self.pooled:
            return mends
        if self.nulls == "off":
            mends["array_nulls"] = "on"
        if limits is STEP:
            return mends
        if self.isolation != _READ_COMMITTED:
            mends["default_transaction_isolation"] = _READ_COMMITTED
        schemas = [part.strip(' "') for part in self.path.split(",")]
        if "pg_catalog" in schemas[1:]:
            # what is not there first hides functions of the server; where it is not named, it is first
            mends["search_path"] = "pg_catalog"
        if self.idle != "0" and limits is OWN:
            # a worker without work is no session that somebody forgot
            mends["idle_session_timeout"] = "0"
        return mends


def greeting(query: str, limits: Mapping[str, str], login_pid: int) -> tuple[str, Mapping[str, Any] | None]:
    """Return the one statement, with its parameters, that is sent on a new connection.

    Limits are set on the server itself only: a pooler would hand them on to its next client. Those that the
    user has set, in the URL (``options``) or for the role or database, stand.

    Args:
        query: text of ``session_limits``.
        limits: setting -> value; empty sets none.
        login_pid: process id that came with the login. A pooler makes one up.
    """
    if not limits:
        return _READ, None
    return query, {"limits": json.dumps(dict(limits)), "login_pid": login_pid}


def peer(row: Sequence[Any], login_pid: int) -> Peer:
    """Read the answer to `greeting`."""
    return Peer(row[0] != login_pid, *row[1:6])


def mending(mends: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the statement, with its parameters, that makes these settings."""
    return f"select {', '.join([_SET] * len(mends))}", [text for pair in mends.items() for text in pair]
