"""Lanes: what claims go through in order, what a survey says of them, and the limits that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SURVEYED: Final = 1000
"""So many lanes of tenants without a limit a survey names (`leases`), and no more."""


def limit_keys(queue: str, tenant: str) -> tuple[str, ...]:
    """Return the keys of the limits that may hold work of a queue and a tenant; the engine's own has none."""
    return (queue,) if queue.startswith("~") else (queue, f"tenant:{tenant}")


class Lane(NamedTuple):
    """Queue, priority and tenant: rows that a claim takes in one order."""

    queue: str
    priority: int
    tenant: str

    @property
    def limits(self) -> tuple[str, ...]:
        """The keys of the limits that may hold it, as SQL's limit_keys has them."""
        return limit_keys(self.queue, self.tenant)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Up to ``most`` rows over these lanes, each from its watermark on.

    Attributes:
        lanes: in the order of the claim.
        lows: their watermarks.
        most: rows.
        follows_up: what becomes ready by the finish before it counts, where it is next in line.
        in_all: rows with those that are handed on, if that is more than ``most``.
        among: whose turn it is, is counted among claims with the same: empty, a bounded queue, or limits.
    """

    lanes: Sequence[Lane]
    lows: Sequence[int]
    most: int
    follows_up: bool = False
    in_all: int = 0
    among: str = ""


class Opening(NamedTuple):
    """A queue that is paused or has a limit over all workers, or a tenant with one.

    Attributes:
        key: the name of the queue, or that of the limit (`limit_keys`).
        limited: it has a limit.
        opens_in: seconds until it may be claimed from; None until it is resumed or an attempt of it ends.
    """

    key: str
    limited: bool
    opens_in: float | None


class Survey(NamedTuple):
    """What is ready, and what is not to be claimed.

    Attributes:
        lanes: that hold available rows, each with its lowest seq.
        openings: of the queues that are paused or limited, and of tenants with a limit.
    """

    lanes: list[tuple[Lane, int]]
    openings: list[Opening]


class Scouted(NamedTuple):
    """Where work is, of several shards.

    Attributes:
        surveys: shard -> what is ready there; shards without anything are left out.
        waited: shard -> seconds that the first of its rows has been ready.
        due: shards in which something is to be promoted.
    """

    surveys: dict[int, Survey]
    waited: dict[int, float]
    due: list[int]
