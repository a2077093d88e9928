"""What looks at a database and steers what is there; imported when a command needs it."""

from __future__ import annotations

from tributary_daemon.store.migrations import Migrator, RoleNames
from tributary_daemon.wiring import database_url, open_reader

__all__ = ["Migrator", "RoleNames", "database_url", "open_reader"]
