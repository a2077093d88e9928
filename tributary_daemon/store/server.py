"""The server itself, with or without Tributary's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime


class ServerRow(NamedTuple):
    """What a server is and how much room it has.

    ``version_number`` counts as PostgreSQL does (180006); ``now`` is its real time, never a faked one;
    ``reserved`` connections are kept for superusers; ``ours`` are those of Tributary's programs;
    ``in_recovery`` servers take no writes.
    """

    version_number: int
    version: str
    now: datetime
    max_connections: int
    reserved: int
    connections: int
    ours: int
    in_recovery: bool
    user: str
    database: str
    may_create: bool


def facts() -> Operation[ServerRow]:
    """Read what the server says about itself."""
    rows = yield Query(query("server_facts"))
    return ServerRow(*rows[0])
