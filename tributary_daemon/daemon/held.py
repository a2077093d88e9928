"""`Held`: a lease as its process holds it, from the claim's reply to the finish's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tributary_daemon.engine.lease import Lease
from tributary_daemon.model.control import CONTROL_NAMES, Flag
from tributary_daemon.model.correlation import Correlation
from tributary_daemon.model.retry import INTENT_RETRY, STEP_RETRY, Retry
from tributary_daemon.model.states import Kind

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.daemon.line_buffer import LineBuffer
    from tributary_daemon.errors import EncryptionError
    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.model.caching import CacheKey
    from tributary_daemon.model.history import History
    from tributary_daemon.store.contexts import StepFacts
    from tributary_daemon.store.db import Row
    from tributary_daemon.store.finishes import Token

# what a step reads before its handler is called: expressions in its payload, its condition, its item
_READS: Final = Flag.DYNAMIC | Flag.CONDITION | Flag.ITEM


_CORRELATED: Final = '"correlation":'


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a workflow function is replayed from.

    Attributes:
        history: recorded so far.
        at: the database's time when it was loaded.
        since: monotonic seconds at that moment.
    """

    history: History
    at: datetime
    since: float


@dataclass(slots=True, eq=False)
class Held(Lease):
    """A lease and what its process knows of it.

    Attributes:
        shard: where its row lives.
        handler: the function that runs it; None for a step of the engine's own.
        claimed_at: monotonic seconds when the claim's reply came.
        started_at: monotonic seconds when its handler started; None while it waits for a slot.
        ended_at: monotonic seconds when its handler had ended; None before that.
        thread_id: of the thread that runs user code for it; an exception may be raised there.
        aimed: an exception is being raised in that thread.
        facts: its surroundings, once loaded.
        dropped: its token no longer stands, or its outcome is written: what it still returns is nobody's.
        recalled: it had not started when a drain came and must not start any more.
        reported: its runner is done with it, or was given up; another report of it is ignored.
        given_up: it ignored its timeout; the end of this process, which is near, ends it.
        place: on the board of the process while user code runs.
        beat_at: monotonic seconds of its last heartbeat.
        tid: where its claim has left its row; stale once the row is written again.
        replayed: what a workflow function is replayed from, once loaded.
        lines: what it says, once it has said something.
        grouped: it has a slot of a concurrency group.
        resolved: its payload is that which its handler gets.
        cache_key: under which its result is kept; None for not at all.
        looked: what the step cache answered: one of `measures.LOOKS`; None where it was not asked.
        makes: it makes the result that others may be waiting for.
        made: the result that it has committed itself, on the step's connection.
        item_key: of an item of a fan-out.
        told: somebody wants to be told of this attempt.
        unreadable: why what it reads cannot be decrypted: it is not to start.
        handed_on: it became ready by an end in this process.
        in_place: a suspect that runs in a thread of this process, because no other can import its handler.
        control: the engine runs it itself, without a handler.
        durable: it is a workflow function, replayed from its history.
        isolated: it runs in a process of its own: its handler asked for one, or it is a suspect.
        in_loop: it runs in the event loop rather than in a thread.
        heartbeat_timeout: seconds without a heartbeat that its handler allows; None for any.
        in_run: it is part of a run.
    """

    shard: int = 0
    handler: Handler | None = None
    claimed_at: float = 0.0
    started_at: float | None = None
    thread_id: int | None = None
    aimed: bool = False
    facts: StepFacts | None = None
    dropped: bool = False
    recalled: bool = False
    reported: bool = False
    given_up: bool = False
    place: int | None = None
    beat_at: float | None = None
    in_place: bool = False
    grouped: bool = False
    resolved: bool = False
    tid: str = ""
    replayed: Replayed | None = None
    lines: LineBuffer | None = None
    ended_at: float | None = None
    cache_key: CacheKey | None = None
    looked: str | None = None
    makes: bool = False
    made: str | None = None
    item_key: str | None = None
    unreadable: EncryptionError | None = None
    told: bool = False
    handed_on: bool = False
    # how it runs is asked a dozen times for each attempt: attributes, which cost no call
    control: bool = field(init=False)
    durable: bool = field(init=False)
    isolated: bool = field(init=False)
    in_loop: bool = field(init=False)
    heartbeat_timeout: float | None = field(init=False)
    in_run: bool = field(init=False)

    def __post_init__(self) -> None:
        handler, self.durable, self.heartbeat_timeout = self.handler, False, None
        self.in_run = self.kind != Kind.INTENT
        self.control = self.isolated = self.in_loop = False
        if handler is None:
            self.control = self.name in CONTROL_NAMES
            self.isolated = self.lone_crashes is not None and not self.in_place
            return
        self.heartbeat_timeout = handler.heartbeat_timeout
        if handler.durable:
            self.durable = True
        else:
            apart = self.lone_crashes is not None or handler.isolation is not None
            self.isolated = apart and not self.in_place
        self.in_loop = handler.is_async and not (self.isolated or self.in_place)

    def found(self, handler: Handler) -> None:
        """This is its handler."""
        self.handler = handler
        self.__post_init__()

    def stays(self) -> None:
        """It runs in this process, though it was to have one of its own."""
        self.in_place = True
        self.__post_init__()

    @property
    def token(self) -> Token:
        """The fence of this attempt."""
        return (self.run_id, self.ordinal, self.seq)

    @property
    def dynamic(self) -> bool:
        """Whether there are expressions to evaluate before its handler is called."""
        return not self.resolved and bool(self.flags & _READS)

    @property
    def suspect(self) -> bool:
        """Whether it had started when an earlier process crashed: it runs alone."""
        return self.lone_crashes is not None

    @property
    def reads_progress(self) -> bool:
        """Whether its handler can ask for what earlier attempts reported."""
        return self.handler is not None and self.handler.signature.step_name is not None

    @property
    def elapsed(self) -> float | None:
        """Seconds from the claim's reply to the handler's start; None before that."""
        return None if self.started_at is None else max(0.0, self.started_at - self.claimed_at)


def from_row(row: Row, shard: int, handler: Handler | None, claimed_at: float) -> Held:
    """Build from a row of `leases.Leases.exchange`; the reply came at ``claimed_at`` (monotonic)."""
    text, correlation = row[12], None
    if text is not None and _CORRELATED in text:
        text, correlation = _correlation(text)
    retry, timeout = (None, None) if text is None else _options(text, row[3])
    return Held(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9],
        row[10] if row[10] is not None else "{}", retry, timeout, row[11], row[17], None, row[13], shard,
        handler, claimed_at, tid=row[18], options=text, tenant=row[15],
        correlation=correlation, item_key=row[16], handed_on=row[19] > 0,
    )  # fmt: skip


def _correlation(text: str) -> tuple[str | None, Correlation]:
    """Return the options without the ids that the claim put beside them, and these."""
    options = json.loads(text)
    correlation = Correlation.of(options.pop("correlation"))
    return (json.dumps(options) if options else None), correlation


@lru_cache(maxsize=1024)
def _options(text: str, kind: str) -> tuple[Retry | None, float | None]:
    options = json.loads(text)
    timeout = options.get("timeout")
    retry = options.get("retry")
    base = INTENT_RETRY if kind == Kind.INTENT else STEP_RETRY
    return (
        Retry.from_json(retry["value"], base) if retry else None,
        float(timeout["value"]) if timeout else None,
    )
