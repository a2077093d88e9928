"""The handlers of the database's registry as checks of workflows see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.spec.signatures import Known
from tributary_daemon.store import fleet

if TYPE_CHECKING:
    from tributary_daemon.store.db import Operation


def handlers() -> Operation[list[Known]]:
    """Read the handlers that workers have offered and nobody has disabled."""
    rows = yield from fleet.known()
    return [Known(row.name, row.input_schema, row.output_schema, served=row.served) for row in rows]
