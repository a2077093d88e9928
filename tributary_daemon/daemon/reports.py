"""What attempts report while they run, on its way into the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tributary_daemon import events
from tributary_daemon.daemon.reconnect import LOST
from tributary_daemon.daemon.seals import seal_progress
from tributary_daemon.store.leases import save_progress

if TYPE_CHECKING:
    from tributary_daemon.daemon.inbox import Progress
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.finishes import Token


def save(connection: Connection, reports: dict[Token, Progress], keys: Ring | None) -> bool:
    """Keep the newest details of each attempt, and forget them here; False when a token no longer stands."""
    all_stand = True
    for token, message in list(reports.items()):
        held = message.held
        try:
            stands = held.dropped or save_progress(
                connection, held.shard, token, seal_progress(held, message.details, keys)
            )
        except LOST:
            raise
        except psycopg.Error as error:
            events.emit(events.ProcessFailed(error=f"progress was refused: {error!r}"))
            stands = True
        del reports[token]
        all_stand = all_stand and stands
    return all_stand
