"""A proof that no worker has lost a slot: attempts, as many as there are slots, meet."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg
from psycopg.types.json import Jsonb

from chaos.workers import CONCURRENCY, PROCESSES

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE = 60.0
_SUBMIT = """
    select tributary.submit_intent('chaos.meet.v1', %s, priority => 10)::text from generate_series(1, %s)
"""
_MET = "select state::text from tributary.steps where run_id = any (%s::uuid[])"


def prove(url: str, workers: int, folder: Path) -> tuple[int, int]:
    """Let attempts meet in all slots of all workers.

    Args:
        url: the database, in which nothing else is left to do.
        workers: that are alive.
        folder: empty, where each attempt leaves its mark.

    Returns:
        how many there were at once, of how many.
    """
    folder.mkdir()
    all_slots = workers * PROCESSES * CONCURRENCY
    payload = Jsonb({"folder": str(folder), "all": all_slots})
    deadline = time.monotonic() + _PATIENCE
    with psycopg.connect(url, autocommit=True) as connection:
        ids = [found for (found,) in connection.execute(_SUBMIT, (payload, all_slots))]
        while len(list(folder.iterdir())) < all_slots and time.monotonic() < deadline:
            time.sleep(0.1)
        met = len(list(folder.iterdir()))
        # who waited in vain may go
        (folder / "over").touch()
        while time.monotonic() < deadline + _PATIENCE:
            if {state for (state,) in connection.execute(_MET, (ids,))} == {"completed"}:
                break
            time.sleep(0.1)
    return met, all_slots
