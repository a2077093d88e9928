"""The first words on a connection: who is at the other end, and which limits the session gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_READ: Final = "select pg_backend_pid(), current_setting('default_transaction_isolation')"

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
    """

    pooled: bool
    isolation: str


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
    return Peer(row[0] != login_pid, row[1])
