"""A start that waits for its database, as a service is to do it."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

from tributary_daemon.daemon.outage import Outage
from tributary_daemon.daemon.sdnotify import ServiceManager
from tributary_daemon.errors import DatabaseUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_FIRST: Final = 0.5
_LONGEST: Final = 5.0
_RANDOM: Final = Random()  # noqa: S311 - jitter, not secrets


def patiently(attempt: Callable[[], T], name: str) -> T:
    """Return what ``attempt`` returns; a service manager has it tried until there is a database.

    Whoever starts a worker by hand is told at once. Under a service manager nobody looks: it says once what
    is wrong, there and in its status, and goes on by itself.

    Args:
        attempt: opens the database.
        name: of the worker.

    Raises:
        DatabaseUnreachable: no connection, and no service manager.
        SchemaError: the schema cannot be used; waiting would not mend that.
    """
    manager, outage, pause = ServiceManager(), Outage(name), _FIRST
    while True:
        try:
            return attempt()
        except DatabaseUnreachable as error:
            if not manager.listens:
                raise
            outage.failed(error)
            manager.status(f"waits for the database: {error.message}")
        time.sleep(pause * _RANDOM.uniform(0.8, 1.2))
        pause = min(_LONGEST, pause * 2)
