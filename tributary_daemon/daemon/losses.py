"""What is said of leases whose tokens no longer stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.store.finishes import Token
    from tributary_daemon.store.leases import Leases


def tell(leases: Leases, shard: int, lost: Sequence[Token]) -> None:
    """Report lost leases, but those that are no surprise."""
    if not lost:
        return
    explained = leases.explained(shard, lost)
    for run_id, ordinal, seq in lost:
        if (run_id, ordinal, seq) not in explained:
            events.emit(events.LeaseLost(run_id=run_id, ordinal=ordinal))
