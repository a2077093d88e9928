"""How a process comes to claim: its handlers are published, its row is made, then it is told to start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.daemon.offers import matching
from tributary_daemon.engine.failures import NO_KEY_DELAY
from tributary_daemon.model.control import CONTROL_NAMES
from tributary_daemon.store import functions, membership

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tributary_daemon.daemon.member import Member
    from tributary_daemon.store.db import Connection

_RELEASES_FOR: Final = 5.0
_RELEASES_BESIDE: Final = 0.1


class Admission:
    """Members that have offered handlers and wait for the database.

    Attributes:
        names: what the worker claims; None until its first member offered.
        failures: modules and handlers that cannot be offered.

    Args:
        patterns: of the names that the worker claims.
        keyed: it has keys of encrypted values.
    """

    def __init__(self, patterns: Sequence[str], *, keyed: bool = False) -> None:
        self._patterns = patterns
        self._keyed = keyed
        self._offers: dict[Member, dict[str, Any]] = {}
        self._started = self._new = False
        self.names: list[str] | None = None
        self.failures: list[dict[str, Any]] = []

    def news(self) -> bool:
        """Return whether names have come that nobody had offered before; once."""
        new, self._new = self._new, False
        return new

    def offered(self, member: Member, message: dict[str, Any]) -> None:
        """A member says what its modules hold."""
        self._offers[member] = message

    def anew(self) -> None:
        """The worker registers anew, maybe in another database: the handlers are to be published again."""
        self.names = None

    def keep(self, alive: Collection[Member]) -> None:
        """Forget those that have ended before they were admitted."""
        self._offers = {member: offer for member, offer in self._offers.items() if member in alive}

    def admit(
        self,
        connection: Callable[[], Connection],
        worker_id: Callable[[], int],
        shards: int,
        *,
        register: Callable[[Connection], None],
        holds_bounded: Callable[[Member], bool],
        paused: bool,
    ) -> None:
        """Start those who have offered.

        Args:
            connection: of the supervisor; asked for only if somebody waits.
            worker_id: of the supervisor's row.
            shards: number of shards.
            register: makes that row anew, once the names are known.
            holds_bounded: whether a member has to wait for its predecessor in queues with slots.
            paused: an operator has paused the worker.
        """
        for member, message in list(self._offers.items()):
            names = self._publish(connection(), message, shards, register)
            process_id = membership.register_process(
                connection(), name=member.setup.label, pid=member.pid, worker_id=worker_id()
            )
            del self._offers[member]
            self._started = True
            member.start(
                process_id, [*names, *sorted(CONTROL_NAMES)], shards,
                holds_bounded=holds_bounded(member), paused=paused,
            )  # fmt: skip

    def _publish(
        self,
        connection: Connection,
        message: dict[str, Any],
        shards: int,
        register: Callable[[Connection], None],
    ) -> list[str]:
        """Register what the first member offers for the whole worker; return what this member claims."""
        offered = {handler["name"]: handler for handler in message["handlers"]}
        names = matching(offered, self._patterns)
        if self.names is None:
            self.failures = message["failures"]
            self.names = names
            try:
                register(connection)
                if membership.register_handlers(connection, [offered[name] for name in names]):
                    # what is released now is not in the way of work; the maintenance releases the rest
                    self._new = True
                    within = _RELEASES_BESIDE if self._started else _RELEASES_FOR
                    membership.release_waiting(connection, shards, within=within)
                if self._keyed:
                    # those who came before may have lacked the key
                    membership.release_unread(connection, shards, NO_KEY_DELAY)
                self._publish_functions(connection, [offered[name] for name in names], shards)
            except BaseException:
                # the next connection begins anew
                self.names = None
                raise
            vain = tuple(pattern for pattern in self._patterns if not matching(offered, [pattern]))
            if vain:
                events.emit(events.NamesUnmatched(patterns=vain))
            for failure in self.failures:
                events.emit(
                    events.HandlerImportFailed(
                        module=failure["module"], names=failure["names"], error=failure["error"]
                    )
                )
        return names

    def _publish_functions(
        self, connection: Connection, handlers: Sequence[Mapping[str, Any]], shards: int
    ) -> None:
        """Register workflow functions as workflows; their code may be what parked runs have waited for."""
        offered = [handler for handler in handlers if "function" in handler]
        for name in functions.register(connection, offered):
            error = "a workflow of a file has that name; give the function another one"
            self.failures.append({"module": "workflow", "names": [name], "error": error})
        functions.release_parked(connection, shards, [handler["name"] for handler in offered])
