"""Which shards the processes of a worker claim from: those it was told, or its share of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.daemon.inbox import HELP, SERVE
from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.daemon.family import Family
    from tributary_daemon.daemon.member import Member
    from tributary_daemon.daemon.plan import WorkerPlan


class Shares:
    """What the supervisor knows of the shards, and tells its processes.

    Attributes:
        count: number of shards of the database.

    Args:
        plan: of the worker.
    """

    def __init__(self, plan: WorkerPlan) -> None:
        self.count = 1
        self._told = plan.shards
        self._spreads = plan.spreads
        self._own: tuple[int, ...] | None = None

    @property
    def asks(self) -> bool:
        """Whether the beat is to bring what it serves."""
        return self._spreads

    @property
    def _order(self) -> str:
        own = range(self.count) if self._own is None else self._own
        return f"{HELP if self._spreads else SERVE}{','.join(map(str, own))}"

    def tell(self, member: Member) -> None:
        """Tell a process that claims now from which shards, unless these are all."""
        if self._own is not None:
            member.send(self._order)

    def found(self, count: int) -> int:
        """Take the number of shards of the database, and return it.

        Raises:
            ConfigError: it has none of those that the worker was told to serve.
        """
        self.count = count
        self._own = None
        if self._told is not None:
            self._own = tuple(shard for shard in self._told if shard < count)
            if not self._own:
                has = f"{count} shard{'s' * (count != 1)}"
                raise ConfigError(
                    f"the database has {has}, none of {', '.join(map(str, self._told))}",
                    hint="--shards all, or numbers from 0 on",
                )
        return count

    def take(self, own: Sequence[int] | None, family: Family) -> None:
        """Take what a beat has brought; tell the processes what has changed."""
        if own is not None and tuple(own) != (tuple(range(self.count)) if self._own is None else self._own):
            self._own = tuple(own)
            family.send(self._order)
