"""The database thread of a process: it claims, finishes and watches timeouts, and never runs user code."""

from __future__ import annotations

import heapq
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

import psycopg

from tributary_daemon import events
from tributary_daemon.daemon.claiming import Claiming
from tributary_daemon.daemon.held import Held, from_row
from tributary_daemon.daemon.inbox import Check, Drain, Finished, Message, Progress, Wake
from tributary_daemon.daemon.outcomes import ended
from tributary_daemon.daemon.pace import Pace
from tributary_daemon.daemon.reconnect import LOST, Reconnect
from tributary_daemon.engine.failures import record, retried
from tributary_daemon.errors import NotPossible, TributaryError
from tributary_daemon.model.outcome import Outcome, Released
from tributary_daemon.model.states import Kind
from tributary_daemon.store.contexts import Contexts
from tributary_daemon.store.leases import Ended, Leases, Token, save_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.daemon.crew import Crew
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.handlers.registry import Registry
    from tributary_daemon.store.db import Connection, Row

_RESCANS: Final = (0.005, 0.02, 0.1)
_RECONCILE_EVERY: Final = 2.0
# longer than a claim that was given up may go on in the server before it commits
_WARY: Final = 90.0
_LINGER: Final = 0.003


class Fenced(Exception):  # noqa: N818 - a state, not a fault
    """This process is not registered any more: others have its leases."""


class DatabaseThread:
    """Claims and finishes for one process.

    The hot path, top to bottom: `run` takes what has come, `_round` exchanges outcomes for leases,
    `_hand_over` gives them to the crew that runs them.

    Args:
        setup: of the process.
        registry: handlers by name.
        inbox: finished attempts and requests.
        crew: runs leases.
        sign: called once per turn with whether more work is likely at hand: a sign of life.
    """

    def __init__(
        self, setup: ProcessSetup, registry: Registry, inbox: Inbox, crew: Crew, sign: Callable[[bool], None]
    ) -> None:
        self._setup = setup
        self._handlers = {handler.name: handler for handler in registry}
        self._inbox = inbox
        self._crew = crew
        self._sign = sign
        self._pace = Pace(setup.slots)
        self._claimings = [Claiming(shard, setup.queues, setup.bounded) for shard in range(setup.shards)]
        self._contexts = Contexts()
        self._link = Reconnect(setup.url, f"trib {setup.label}", prepare=setup.prepare)
        self._held: dict[tuple[str, int], Held] = {}
        self._handed = 0
        self._handed_loop = 0
        self._once: deque[Held] = deque()
        self._ready: list[Held] = []
        self._ended: list[tuple[Held, Ended]] = []
        self._progress: dict[Token, Progress] = {}
        self._rescans: list[float] = [0.0]
        self._reconcile_at = time.monotonic() + _RECONCILE_EVERY
        self._wary_until = 0.0
        self._draining = False

    @property
    def idle(self) -> bool:
        """Whether nothing is held."""
        return not self._held and not self._ended

    def run(self) -> None:
        """Work until drained.

        Raises:
            Fenced: the process is not registered any more.
        """
        while not (self._draining and self.idle):
            backlog = self._handed > self._setup.slots
            messages = self._inbox.take(
                self._patience(),
                linger=_LINGER if backlog else 0.0,
                enough=max(1, self._handed // 2) if backlog else 1,
            )
            self._sign(any(claiming.more for claiming in self._claimings))
            for message in messages:
                self._absorb(message)
            self._crew.watch()
            if self._link.pause > 0:
                continue
            try:
                self._round()
            except LOST as error:
                self._recover(error)
        self._link.close()

    def _patience(self) -> float:
        """Seconds until something has to be done without being told."""
        if (pause := self._link.pause) > 0:
            return min(pause, self._crew.patience(), 1.0)
        if self._ended or (
            not self._draining and any(claiming.more for claiming in self._claimings) and self._want() > 0
        ):
            return 0.0
        now = time.monotonic()
        until = [1.0, self._crew.patience()]
        if self._rescans:
            until.append(self._rescans[0] - now)
        if self._held or now < self._wary_until:
            until.append(self._reconcile_at - now)
        return max(0.0, min(until))

    def _absorb(self, message: Message) -> None:
        match message:
            case Finished(held, outcome):
                if held.reported:
                    return
                held.reported = True
                self._handed -= 1
                self._handed_loop -= held.in_loop
                if held.dropped or held.recalled:
                    return
                if outcome is None:
                    self._forget(held)
                else:
                    self._end(held, outcome)
            case Wake():
                self._wake()
            case Check():
                self._reconcile_at = 0.0
            case Progress(held):
                if not held.dropped:
                    self._progress[held.token] = message
            case Drain():
                self._draining = True
                self._recall()

    def _recall(self) -> None:
        """Give back what has not started: it is released, and will not start."""
        unhanded = [*self._once, *self._ready]
        self._once.clear()
        self._ready = []
        for held in unhanded:
            held.recalled = held.reported = True
        handed = self._crew.take_back(self._held.values())
        for held in handed:
            held.recalled = held.reported = True
        self._handed -= len(handed)
        self._handed_loop -= sum(held.in_loop for held in handed)
        for held in [*unhanded, *handed]:
            if not held.dropped:
                self._end(held, Released("drained"))

    def _end(self, held: Held, outcome: Outcome) -> None:
        self._ended.append((held, ended(held, outcome)))

    def _wake(self) -> None:
        now = time.monotonic()
        for claiming in self._claimings:
            claiming.more = True
            claiming.hurry()
        # a transaction may have notified before its rows became visible to our snapshot
        self._rescans = [now + after for after in _RESCANS]
        heapq.heapify(self._rescans)

    def _want(self) -> int:
        """How many leases to claim now; 0 while enough is held to make a larger batch worth the wait."""
        if self._draining or self._once:
            return 0
        target = self._pace.target()
        want = target - len(self._held) + len(self._ended)
        return want if want >= target // 4 or len(self._held) < self._setup.slots else 0

    def _room(self) -> dict[str, int]:
        room = dict(self._setup.bounded)
        if room:
            done = {held.token for held, _ in self._ended}
            for held in self._held.values():
                if held.queue in room and held.token not in done:
                    room[held.queue] -= 1
        return room

    def _round(self) -> None:
        connection = self._link.connection()
        leases = Leases(
            connection, self._setup.process_id, self._setup.names, [*self._setup.queues, *self._setup.bounded]
        )
        if self._link.fresh:
            self._settle_accounts(leases)
        now = time.monotonic()
        while self._rescans and self._rescans[0] <= now:
            heapq.heappop(self._rescans)
            for claiming in self._claimings:
                claiming.more = True
        self._save_progress(connection)
        if now >= self._reconcile_at and (self._held or now < self._wary_until):
            self._reconcile(leases)
        for claiming in self._claimings:
            self._exchange(leases, claiming)
        if self._ready:
            self._give(leases)
        if self._once:
            self._start_once(leases)

    def _exchange(self, leases: Leases, claiming: Claiming) -> None:
        mine = [item for item in self._ended if item[0].shard == claiming.shard]
        # a finish may have released what comes next, so a claim goes with it whenever there is room
        want = self._want() if claiming.more or mine else 0
        room = self._room() if want > 0 else {}
        if not mine and want <= 0:
            return
        try:
            refused, rows = claiming.exchange(leases, [item for _, item in mine], want, room)
        except NotPossible as error:
            raise Fenced(error.message) from error
        except TributaryError as error:
            self._one_by_one(leases, claiming.shard, mine, error)
            return
        self._account(mine, refused)
        if want > 0 and not claiming.more and len(rows) < want:
            for row in rows:
                if row[6] in room:
                    room[row[6]] -= 1
            rows += claiming.look(leases, want - len(rows), room)
            if claiming.deferred is not None and claiming.deferred not in self._rescans:
                heapq.heappush(self._rescans, claiming.deferred)
        if rows:
            self._hand_over(claiming.shard, rows)

    def _account(
        self, mine: Sequence[tuple[Held, Ended]], refused: Sequence[Token], *, quiet: bool = False
    ) -> None:
        """Forget what is written; ``quiet`` after a repeat, whose first try may have been what counted."""
        lost = set(refused)
        for held, _ in mine:
            self._forget(held)
        self._ended = [item for item in self._ended if not item[0].dropped]
        self._pace.finished(len(mine) - len(lost))
        for token in lost if not quiet else ():
            events.emit(events.LeaseLost(run_id=token[0], ordinal=token[1]))

    def _one_by_one(
        self, leases: Leases, shard: int, mine: Sequence[tuple[Held, Ended]], error: TributaryError
    ) -> None:
        """The database refused a batch: write each outcome alone, and fail the attempt at fault."""
        if not mine:
            raise error
        for held, item in mine:
            try:
                refused, _ = leases.exchange(shard, [item], [])
            except TributaryError as fault:
                outcome = retried(record(fault, held, reason="unserialisable_result"), fault, held)
                refused, _ = leases.exchange(shard, [ended(held, outcome)], [])
            self._account([(held, item)], refused)

    def _hand_over(self, shard: int, rows: Sequence[Row]) -> None:
        for row in rows:
            held = from_row(row, shard, self._handlers.get(row[4]))
            self._held[held.run_id, held.ordinal] = held
            if held.handler is None and held.kind != Kind.CLOSING:
                self._end(held, Released("no handler"))
            elif held.max_attempts == 1:
                self._once.append(held)
            else:
                self._ready.append(held)

    def _start_once(self, leases: Leases) -> None:
        """Start attempts that may start at most once: their start is recorded, fenced, before user code."""
        free = 0 if self._ready else max(0, self._setup.slots - self._handed)
        starting = list(islice(self._once, free))
        for shard in {held.shard for held in starting}:
            mine = [held for held in starting if held.shard == shard]
            # nothing leaves this thread's queues before the database has answered: the connection may die
            stands = leases.mark_started(shard, [held.token for held in mine])
            self._once = deque(held for held in self._once if held not in mine)
            for held in mine:
                if held.token not in stands:
                    self._lose(held)
            self._ready += [held for held in mine if held.token in stands]
            self._give(leases)

    def _give(self, leases: Leases) -> None:
        for shard in {held.shard for held in self._ready}:
            wanted = [
                held
                for held in self._ready
                if held.shard == shard and held.facts is None and self._crew.wants_facts(held)
            ]
            steps = [held for held in wanted if held.kind == Kind.STEP]
            if steps:
                facts = self._contexts.load(
                    leases.connection, shard, [(held.run_id, held.ordinal) for held in steps],
                    progress=any(held.reads_progress for held in steps),
                )  # fmt: skip
                for held in steps:
                    held.facts = facts[held.run_id, held.ordinal]
            for held in wanted:
                if held.kind == Kind.CLOSING:
                    held.facts = self._contexts.load_closing(leases.connection, shard, held.run_id, None)
        ready = self._startable()
        self._handed += len(ready)
        self._crew.give(ready)

    def _startable(self) -> list[Held]:
        """Take what may be handed over: threads and loop share the slots, so only one may have a queue."""
        loop, threads = self._handed_loop, self._handed - self._handed_loop
        count = 0
        for held in self._ready:
            if (threads if held.in_loop else loop) and threads + loop >= self._setup.slots:
                break
            if held.in_loop:
                loop += 1
            else:
                threads += 1
            count += 1
        self._handed_loop = loop
        ready, self._ready = self._ready[:count], self._ready[count:]
        return ready

    def _save_progress(self, connection: Connection) -> None:
        for token, message in list(self._progress.items()):
            try:
                stands = message.held.dropped or save_progress(
                    connection, message.held.shard, token, message.details
                )
            except LOST:
                raise
            except psycopg.Error as error:
                events.emit(events.ProcessFailed(error=f"progress was refused: {error!r}"))
                stands = True
            del self._progress[token]
            if not stands:
                self._reconcile_at = 0.0

    def _reconcile(self, leases: Leases) -> None:
        for claiming in self._claimings:
            mine = [held for held in self._held.values() if held.shard == claiming.shard]
            for token in leases.reconcile(claiming.shard, [held.token for held in mine]):
                held = self._held.get(token[:2])
                if held is not None and held.token == token:
                    self._lose(held)
        self._reconcile_at = time.monotonic() + _RECONCILE_EVERY

    def _lose(self, held: Held) -> None:
        """The token no longer stands: whatever runs under it is told to stop, its answer is dropped."""
        self._forget(held)
        self._ended = [item for item in self._ended if item[0] is not held]
        self._ready = [item for item in self._ready if item is not held]
        self._once = deque(item for item in self._once if item is not held)
        self._crew.stop(held)
        events.emit(events.LeaseLost(run_id=held.run_id, ordinal=held.ordinal))

    def _forget(self, held: Held) -> None:
        held.dropped = True
        key = held.run_id, held.ordinal
        # after an explicit retry this process may hold the same step anew
        if self._held.get(key) is held:
            del self._held[key]

    def _recover(self, error: Exception) -> None:
        if self._link.lost():
            events.emit(events.DatabaseLost(process=self._setup.label, error=str(error)))

    def _settle_accounts(self, leases: Leases) -> None:
        """First words on a new connection: what was in flight may be written or not, claimed or not."""
        for claiming in self._claimings:
            mine = [item for item in self._ended if item[0].shard == claiming.shard]
            if not mine:
                continue
            try:
                refused, _ = leases.exchange(claiming.shard, [item for _, item in mine], [])
            except TributaryError as error:
                self._one_by_one(leases, claiming.shard, mine, error)
            else:
                self._account(mine, refused, quiet=True)
        self._reconcile(leases)
        self._wary_until = time.monotonic() + _WARY
        self._link.fresh = False
        self._wake()
