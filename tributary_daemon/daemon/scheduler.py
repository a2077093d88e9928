"""Schedules: the worker that leads fires the slots that are due, a fifth of a second at a time."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.engine.preconditions import demanded_of_slot
from tributary_daemon.errors import (
    DatabaseError,
    DatabaseUnreachable,
    EncryptionError,
    InvalidInput,
    NotPossible,
    PreconditionFailed,
    TributaryError,
)
from tributary_daemon.model import cron as crons
from tributary_daemon.model.slots import GRACE, due_at
from tributary_daemon.store import db, schedules
from tributary_daemon.store.scheduled_work import seal_work, work_of
from tributary_daemon.store.sight import within

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.model.cron import Cron
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.schedules import DueRow, Work

_TURN: Final = 0.2
_AT_ONCE: Final = 50
_SLOTS: Final = 20
_COUNTED: Final = 1_000
_AGAIN: Final = 2.0
_MOMENT: Final = timedelta(microseconds=1)


class Scheduler:
    """Fires what is due; one turn per call.

    A slot is fired and the next one set in one transaction that holds the schedule's row, so it is fired
    once, however many workers believe that they lead. What cannot be computed or submitted disables its
    schedule; what the database refuses for the moment is tried again, and so is what needs a key that is not
    here.

    Args:
        keys: of encrypted inputs; None for none.
    """

    def __init__(self, keys: Ring | None = None) -> None:
        self._keys = keys
        self._due = math.inf
        self._next = math.inf
        self._later: dict[str, float] = {}
        self._doubts = False
        # schedule ("" for all of them) -> what was told of its trouble
        self._told: dict[str, str] = {}

    @property
    def due_in(self) -> float:
        """Seconds until the next slot."""
        return max(0.0, self._due - time.monotonic())

    def told(self, seconds: float | None, *, queued: bool) -> None:
        """Take over in how many seconds the next slot is due (None: none comes), and whether slots wait."""
        now = time.monotonic()
        self._next = math.inf if seconds is None else now + seconds
        self._due = now if queued else self._next

    def doubt(self) -> None:
        """The database's clock may have changed: what was computed by it is not to be relied on."""
        self._doubts = True

    def fire(self, connection: Connection) -> None:
        """Take a turn if it is time."""
        try:
            if self._doubts:
                db.run(connection, schedules.replan())
                self._doubts = False
                self._due = time.monotonic()
            if time.monotonic() >= self._due:
                self.turn(connection)
                self._told.pop("", None)
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            # a table that is locked, a statement that was cut: no reason to end the worker
            self._due = time.monotonic() + _AGAIN
            self._tell("", error)

    def turn(self, connection: Connection) -> int:
        """Fire what is due, for no longer than a turn; return for how many schedules there was something."""
        started = time.monotonic()
        # those that the leader is not told about any more
        self._later = {name: at for name, at in self._later.items() if at > started}
        self._due = started
        rows = db.run(connection, within(None, schedules.due(list(self._later), _AT_ONCE), self._keys))
        soonest = math.inf
        for row in rows:
            due = self._attend(connection, row)
            if due is not None:
                soonest = min(soonest, (due - row.now).total_seconds())
            if time.monotonic() - started > _TURN:
                # others go on meanwhile, and the next turn with the rest
                return len(rows)
        if len(rows) < _AT_ONCE:
            # what was told before and has not come yet still holds
            known = self._next if self._next > started else math.inf
            self._next = self._due = min(known, time.monotonic() + max(0.0, soonest))
        return len(rows)

    def _attend(self, connection: Connection, row: DueRow) -> datetime | None:
        """Do what one schedule asks for; return when it is due again, None to be told by the database."""
        try:
            due = self._fire(connection, row)
        except DatabaseUnreachable:
            raise
        except (DatabaseError, EncryptionError, NotPossible) as error:
            # of the moment: a lock, a server that stops, a state that will be another one, a key that comes
            self._put_off(row, error)
        except TributaryError as error:
            self._disable(connection, row, f"{error.message}; {error.hint}" if error.hint else error.message)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # what is stored is not what this version can read: no reason to stop the others
            self._disable(connection, row, f"it cannot be read: {type(error).__name__}: {error}")
        else:
            self._told.pop(row.name, None)
            return due
        return None

    def _disable(self, connection: Connection, row: DueRow, reason: str) -> None:
        try:
            disabled = db.run(connection, schedules.disable(row, reason))
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            self._put_off(row, error)
            return
        if disabled:
            events.emit(events.ScheduleDisabled(schedule=row.name, reason=reason))

    def _put_off(self, row: DueRow, error: TributaryError | None = None) -> None:
        """Look at a schedule again in a while; without an error somebody holds it, or too much waits."""
        self._later[row.name] = time.monotonic() + _AGAIN
        if error is not None:
            self._tell(row.name, error)

    def _tell(self, schedule: str, error: TributaryError) -> None:
        """Say what is wrong once, however often it is tried."""
        if self._told.get(schedule) != error.message:
            self._told[schedule] = error.message
            events.emit(events.ScheduleFailed(schedule=schedule, error=error.message))

    def _fire(self, connection: Connection, row: DueRow) -> datetime | None:
        if row.queued is not None:
            self._fire_queued(connection, row, row.queued)
        if row.next_at > row.now:
            return None
        cron = crons.parse(row.cron, row.timezone)
        if row.next_slot is None:
            return self._set(connection, row, _following(cron, row.since))
        slot = self._leave_out(connection, row, cron)
        if slot is None:
            return None
        row = row._replace(next_slot=slot)
        due = list(itertools.islice(_due(cron, row, slot), _SLOTS + 2))
        if not due or due[0] != slot:
            # its jitter has changed, or it was computed where the zone has other rules
            return self._set(connection, row, _following(cron, slot - _MOMENT))
        # never one alone is left: it would be taken for one that comes in time
        for at in due if len(due) < _SLOTS + 2 else due[:_SLOTS]:
            following = _following(cron, at)
            following_at = due_at(row.name, following, row.jitter)
            work = db.run(connection, work_of(row.kind, row.target, row.payload))
            try:
                work = _asked(work, row, at)
            except PreconditionFailed:
                # the slot is left out; the next one asks anew
                if not db.run(connection, schedules.plan(row, following, following_at, missed=1, until=at)):
                    self._put_off(row)
                    return None
                reason = "precondition"
                events.emit(events.ScheduleSkipped(schedule=row.name, slot=at.isoformat(), reason=reason))
                row = row._replace(next_slot=following)
                continue
            sealed = seal_work(work, row, self._keys)
            done = db.run(
                connection, schedules.fire(row, at, sealed, following, following_at, late=len(due) > 1)
            )
            if done is None or done.outcome == "full":
                self._put_off(row)
                return None
            if done.run_id is not None:
                events.emit(
                    events.ScheduleFired(schedule=row.name, slot=at.isoformat(), run_id=str(done.run_id))
                )
            elif done.outcome == "skipped":
                events.emit(events.ScheduleSkipped(schedule=row.name, slot=at.isoformat(), reason="overlap"))
            row = row._replace(next_slot=following)
        return following_at

    def _set(self, connection: Connection, row: DueRow, slot: datetime) -> datetime | None:
        """Write which slot is the next one; return when it is due, None when the schedule was changed."""
        at = due_at(row.name, slot, row.jitter)
        if db.run(connection, schedules.plan(row, slot, at)):
            return at
        self._put_off(row)
        return None

    def _leave_out(self, connection: Connection, row: DueRow, cron: Cron) -> datetime | None:
        """Record slots that are too old to be made up for; return the next one, None when it was changed.

        However many they are, the work is bounded: they are counted up to a thousand, and jumped over.
        """
        slot = row.next_slot
        assert slot is not None
        late = max(timedelta(seconds=row.catchup), GRACE)
        oldest = row.now - late - timedelta(seconds=row.jitter)
        # what was to be looked at only now is not late, though its jitter was changed meanwhile
        if slot >= oldest or row.next_at >= row.now - late:
            return slot
        following = _following(cron, oldest - _MOMENT)
        missed = list(itertools.islice(cron.between(slot, following - _MOMENT), _COUNTED))
        # a slot of the past that is none of the expression any more is one all the same
        count = max(len(missed), 1)
        last = oldest if len(missed) == _COUNTED else (missed or [slot])[-1]
        at = due_at(row.name, following, row.jitter)
        if not db.run(connection, schedules.plan(row, following, at, missed=count, until=last)):
            self._put_off(row)
            return None
        events.emit(
            events.ScheduleSkipped(schedule=row.name, slot=slot.isoformat(), reason="missed", count=count)
        )
        return following

    def _fire_queued(self, connection: Connection, row: DueRow, first: datetime) -> None:
        work = db.run(connection, work_of(row.kind, row.target, row.payload))
        if work.demands is not None:
            # what was queued was asked when it was queued
            work = work._replace(demands=replace(work.demands, preconditions=()))
            work = _asked(work, row, first)
        for _ in range(_SLOTS):
            started = db.run(connection, schedules.fire_queued(row, seal_work(work, row, self._keys)))
            if started is None:
                return
            slot, run_id = started
            events.emit(events.ScheduleFired(schedule=row.name, slot=slot.isoformat(), run_id=str(run_id)))
            if row.overlap != "allow" or work.group is not None:
                # the next one's group has another name, maybe
                return


def _asked(work: Work, row: DueRow, slot: datetime) -> Work:
    """Return the work of a slot with its concurrency group.

    Raises:
        PreconditionFailed: a run of this slot must not be recorded.
    """
    group = demanded_of_slot(
        work.demands, inputs=work.inputs, schedule=row.name, labels=row.labels, slot=slot
    )
    return work._replace(group=group)


def _due(cron: Cron, row: DueRow, slot: datetime) -> itertools.takewhile[datetime]:
    return itertools.takewhile(
        lambda at: due_at(row.name, at, row.jitter) <= row.now, cron.between(slot, row.now)
    )


def _following(cron: Cron, moment: datetime) -> datetime:
    following = cron.after(moment)
    if following is None:
        raise InvalidInput(f"no slot of {cron.text!r} comes any more")
    return following
