"""The database thread of a process: it claims and finishes, and never runs user code."""

from __future__ import annotations

import heapq
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon import grouping, losses, reports
from tributary_daemon.daemon.facts import load_facts
from tributary_daemon.daemon.held import from_row
from tributary_daemon.daemon.holdings import Holdings
from tributary_daemon.daemon.inbox import (
    Check,
    Drain,
    Finished,
    GivenUp,
    Message,
    Pause,
    Progress,
    Serve,
    Unhold,
    Wake,
)
from tributary_daemon.daemon.intake import Intake, claimed_of
from tributary_daemon.daemon.outage import Outage
from tributary_daemon.daemon.outcomes import RETURNED, ended
from tributary_daemon.daemon.pace import Pace
from tributary_daemon.daemon.reconnect import LOST, Reconnect
from tributary_daemon.daemon.seals import open_payload
from tributary_daemon.daemon.turns import Turns
from tributary_daemon.engine.failures import record, retried, unreadable
from tributary_daemon.errors import NotPossible, TributaryError
from tributary_daemon.model.outcome import Released, Snoozed
from tributary_daemon.sealing.envelope import VALUE_HEAD
from tributary_daemon.store.contexts import Contexts
from tributary_daemon.store.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.claiming import Claiming
    from tributary_daemon.daemon.crew import Crew
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.handlers.registry import Registry
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.store.db import Row
    from tributary_daemon.store.finishes import Ended, Token

_RESCANS: Final = (0.005, 0.02, 0.1)
_RECONCILE_EVERY: Final = 2.0
# longer than a claim that was given up may go on in the server before it commits
_WARY: Final = 90.0
_LINGER: Final = 0.003
# until a suspected function comes again that found no process idle
_ELSEWHERE: Final = 2.0


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
        board: of the process; counts what was finished.
        sign: called once per turn: is more work likely at hand, what is wrong with the database.
    """

    def __init__(
        self,
        setup: ProcessSetup,
        registry: Registry,
        inbox: Inbox,
        crew: Crew,
        board: Board,
        *,
        sign: Callable[[bool, str | None], None],
    ) -> None:
        self._setup = setup
        self._handlers = {handler.name: handler for handler in registry}
        self._inbox = inbox
        self._crew = crew
        self._board = board
        self._sign = sign
        self._pace = Pace(setup.slots)
        self._turns = Turns(setup.shards, setup.queues, setup.bounded, setup.process_id)
        if setup.own:
            self._turns.serve(setup.own, helps=False)
        self._claimings = self._turns.claimings
        self._keys = setup.ring
        self._contexts = Contexts(self._keys)
        self._link = Reconnect(
            setup.url, f"trib {setup.label}", prepare=setup.prepare, outage=Outage(setup.label)
        )
        self._holdings = Holdings(setup.slots, self._keys)
        self._intake = Intake(setup.slots, self._pace, self._holdings)
        self._progress: dict[Token, Progress] = {}
        self._rescans: list[float] = [0.0]
        self._reconcile_at = time.monotonic() + _RECONCILE_EVERY
        self._bounded = dict.fromkeys(setup.bounded, 0) if setup.holds_bounded else setup.bounded
        self._paused = setup.paused
        self._wary_until = 0.0
        self._connected_before = False
        self._draining = False

    @property
    def idle(self) -> bool:
        """Whether nothing is held that is worth waiting for."""
        return self._holdings.idle

    def run(self) -> None:
        """Work until drained.

        Raises:
            Fenced: the process is not registered any more.
        """
        try:
            self._until_drained()
        finally:
            self._link.close()

    def _until_drained(self) -> None:
        holdings, slots = self._holdings, self._setup.slots
        while not (self._draining and holdings.idle):
            backlog = holdings.handed > slots
            messages = self._inbox.take(
                self._patience(),
                linger=_LINGER if backlog else 0.0,
                enough=max(1, holdings.handed // 2) if backlog else 1,
            )
            self._sign(self._turns.more, self._link.trouble)
            self._board.measures.holds(len(holdings.held), self._link.opened, self._link.outages)
            for message in messages:
                self._absorb(message)
            if self._link.pause > 0:
                continue
            if holdings.stalled(time.monotonic()):
                self._recall()
                self._pace.stalled()
            try:
                self._round()
                self._link.served()
            except LOST as error:
                self._link.lost(error)

    def _patience(self) -> float:
        """Seconds until something has to be done without being told."""
        if (pause := self._link.pause) > 0:
            return min(pause, 1.0)
        claims = self._intake.claims(self._want())
        if self._holdings.ended or (self._turns.more and claims > 0):
            return 0.0
        now = time.monotonic()
        until = [1.0]
        if (scouts := self._turns.due_in(now)) is not None and claims > 0:
            until.append(scouts)
        if self._rescans:
            until.append(self._rescans[0] - now)
        if self._holdings.held or now < self._wary_until:
            until.append(self._reconcile_at - now)
        if (stalls := self._holdings.waits_until()) is not None:
            until.append(stalls - now)
        return max(0.0, min(until))

    def _absorb(self, message: Message) -> None:
        match message:
            case Finished(held, outcome):
                if self._holdings.reported(held, outcome):
                    self._claimings[held.shard].attempts_ended([held])
                    self._pace.finished(1)
                    self._board.count(1, 0)
                    self._board.measures.settled(held)
            case Wake():
                self._wake()
            case Check():
                self._reconcile_at = 0.0
            case Progress(held):
                if not held.dropped:
                    self._progress[held.token] = message
            case GivenUp(held):
                held.given_up = True
            case Pause(paused):
                self._paused = paused
                if paused:
                    self._recall()
                else:
                    self._wake()
            case Serve(shards, helps):
                self._turns.serve(shards, helps=helps)
            case Unhold():
                self._bounded = self._setup.bounded
                self._wake()
            case Drain():
                self._draining = True
                self._recall()

    def _recall(self) -> None:
        """Give back what has not started: it is returned, and will not start."""
        taken = self._crew.take_back(self._holdings.handed_over())
        for held in self._holdings.recall(taken):
            self._holdings.end(held, Released(RETURNED))

    def _wake(self) -> None:
        now = time.monotonic()
        self._turns.hurry()
        # a transaction may have notified before its rows became visible to our snapshot
        self._rescans = [now + after for after in _RESCANS]
        heapq.heapify(self._rescans)

    def _want(self) -> int:
        """For how many leases there is room now."""
        if self._draining or self._paused or self._holdings.once or self._holdings.alone is not None:
            return 0
        return self._intake.want()

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
            self._turns.again()
        if not reports.save(connection, self._progress, self._keys):
            self._reconcile_at = 0.0
        if now >= self._reconcile_at and (self._holdings.held or now < self._wary_until):
            self._reconcile(leases)
        if self._want() > 0 and (opens := self._turns.scout(leases)) is not None:
            self._scan_at(opens)
        for claiming, claims in self._turns.order({held.shard for held, _ in self._holdings.ended}):
            self._exchange(leases, claiming, claims=claims)
        if self._holdings.ready:
            self._give(leases)
        if self._holdings.once:
            self._start_once(leases)

    def _scan_at(self, at: float) -> None:
        if at not in self._rescans:
            heapq.heappush(self._rescans, at)

    def _exchange(self, leases: Leases, claiming: Claiming, *, claims: bool = True) -> None:
        mine = [item for item in self._holdings.ended if item[0].shard == claiming.shard]
        # a finish may have released what comes next, so a claim goes with it whenever there is room
        want = self._want() if claims and (claiming.more or mine) else 0
        most, in_all = self._intake.claims(want), self._intake.in_all(want, len(mine))
        if mine and not claims and self._turns.goes_on(claiming):
            in_all = self._intake.in_all(self._want(), len(mine))
        room = self._holdings.room(self._bounded) if want > 0 else {}
        claiming.attempts_ended([held for held, _ in mine])
        if not (mine or claiming.freed) and most <= 0:
            return
        free, began = self._holdings.free, time.monotonic()
        try:
            outcomes = [item for _, item in mine]
            refused, rows = claiming.exchange(leases, outcomes, most, room, free, in_all=in_all)
        except TributaryError as error:
            if isinstance(error, NotPossible) and not mine:  # with outcomes, one of them may be at fault
                raise Fenced(error.message) from error
            self._one_by_one(leases, claiming.shard, mine, error)
            return
        self._board.measures.exchanged(began, len(mine))
        self._intake.exchanged(rows, want, len(mine))
        self._account(mine, refused)
        grouping.leave(leases.connection, claiming.shard, mine)
        self._hand_over(claiming.shard, rows)
        losses.tell(leases, claiming.shard, refused)
        if not claiming.more and (left := min(want - len(rows), most - claimed_of(rows))) > 0:
            # what is claimed starts first: the look may wait, for a lock too
            if self._holdings.ready:
                self._give(leases)
            for row in rows:
                if row[6] in room:
                    room[row[6]] -= 1
            self._hand_over(claiming.shard, claiming.look(leases, left, room, free - len(rows)))
            if claiming.deferred is not None:
                self._scan_at(claiming.deferred)
            if mine or rows:
                self._turns.ask()

    def _account(self, mine: Sequence[tuple[Held, Ended]], refused: Sequence[Token]) -> None:
        """Forget what is written, or refused."""
        self._holdings.written(mine)
        finished, failed = self._board.measures.ended(mine, refused)
        self._pace.finished(finished)
        self._board.count(finished, failed)

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
                refused, _ = leases.exchange(shard, [ended(held, outcome, self._keys)], [])
            self._account([(held, item)], refused)
            losses.tell(leases, shard, refused)

    def _hand_over(self, shard: int, rows: Sequence[Row]) -> None:
        self._board.measures.claimed(rows)
        now = time.monotonic()
        for row in rows:
            held = from_row(row, shard, self._handlers.get(row[4]), now)
            refused: Outcome | None = None
            if held.handler is None and not held.control:
                refused = Released("no handler")
            elif held.payload.startswith(VALUE_HEAD):
                refused = open_payload(held, self._keys, self._link.connection())
            self._holdings.add(held, refused)

    def _start_once(self, leases: Leases) -> None:
        """Start attempts whose start must be known: it is recorded, fenced, before user code runs."""
        holdings = self._holdings
        for held in holdings.too_patient(time.monotonic()):
            holdings.end(held, Snoozed(_ELSEWHERE))
        starting = holdings.starting_once()
        for shard in {held.shard for held in starting}:
            mine = [held for held in starting if held.shard == shard]
            # nothing leaves this thread's queues before the database has answered: the connection may die
            stands = leases.mark_started(shard, [held.token for held in mine])
            holdings.once = deque(held for held in holdings.once if held not in mine)
            lost = [held for held in mine if held.token not in stands]
            for held in lost:
                self._lose(held)
            holdings.ready += [held for held in mine if held.token in stands]
            self._give(leases)
            losses.tell(leases, shard, [held.token for held in lost])

    def _give(self, leases: Leases) -> None:
        load_facts(self._contexts, leases.connection, filter(self._crew.wants_facts, self._holdings.ready))
        self._crew.give([
            held for held in self._holdings.startable()
            if (held.facts is None and held.unreadable is None) or self._may_start(leases, held)
        ])  # fmt: skip

    def _may_start(self, leases: Leases, held: Held) -> bool:
        """Whether a lease can be read, and has the slot of its concurrency group, if it needs one."""
        if held.unreadable is not None:
            self._holdings.reported(held, unreadable(held.unreadable, held))
            return False
        if not grouping.is_grouped(held):
            return True
        if (answer := grouping.ask(leases.connection, self._setup.process_id, held)) == "held":
            return True
        self._holdings.reported(held, None if isinstance(answer, str) else answer)
        return False

    def _reconcile(self, leases: Leases) -> None:
        for shard, lost in leases.reconcile_all(self._holdings.by_shard(len(self._claimings))).items():
            for token in lost:
                held = self._holdings.held.get(token[:2])
                if held is not None and held.token == token:
                    self._lose(held)
            losses.tell(leases, shard, lost)
        self._reconcile_at = time.monotonic() + _RECONCILE_EVERY

    def _lose(self, held: Held) -> None:
        """The token no longer stands: whatever runs under it is told to stop, its answer is dropped."""
        self._holdings.lose(held)
        self._claimings[held.shard].attempts_ended([held])
        self._crew.stop(held)

    def _settle_accounts(self, leases: Leases) -> None:
        """First words on a new connection: what was in flight may be written or not, claimed or not."""
        for claiming in self._claimings:
            mine = [item for item in self._holdings.ended if item[0].shard == claiming.shard]
            if not mine:
                continue
            try:
                refused, _ = leases.exchange(claiming.shard, [item for _, item in mine], [])
            except TributaryError as error:
                self._one_by_one(leases, claiming.shard, mine, error)
            else:
                # nothing is told: the first try of what is refused may have been what counted
                self._account(mine, refused)
        self._reconcile(leases)
        if self._connected_before:
            self._wary_until = time.monotonic() + _WARY
        self._connected_before = True
        self._link.fresh = False
        self._wake()
