"""Cron expressions in a time zone: when the next slot is, also where a clock is put forward or back.

An expression that takes every hour (``*``) counts real time: where the clock goes back it goes on through the
hour that comes twice, where it goes forward it skips what does not exist. One that names hours means what the
clock on the wall shows: a slot that does not exist comes once, right after the gap, and one that comes twice
is taken the first time only.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.cron_fields import DAY, HOUR, MINUTE, MONTH, SECOND, Days, numbers, split
from tributary_daemon.model.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

_YEARS: Final = 50
_LAST_YEAR: Final = 9_900
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_SOME_YEAR: Final = datetime(2024, 1, 1)  # noqa: DTZ001 - a time on the wall


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked expression in its zone.

    Attributes:
        text: as it was written.
        zone: in which it is meant.
    """

    text: str
    zone: ZoneInfo
    _seconds: tuple[int, ...]
    _minutes: tuple[int, ...]
    _hours: tuple[int, ...]
    _months: tuple[int, ...]
    _days: Days

    def after(self, moment: datetime) -> datetime | None:
        """Return the first slot after a moment, in UTC; None when there is none within 50 years."""
        moment = moment.astimezone(UTC)
        local = moment.astimezone(self.zone)
        wall = local.replace(tzinfo=None, fold=0, microsecond=0)
        if wall.year > _LAST_YEAR:
            return None
        found = self._on_from(wall + _SECOND, moment)
        if self._everyhour and local.fold == 0 and (second := self._repeated(wall)) is not None:
            # the hour that comes twice begins once more, after all that is left of it now
            again = self._on_from(second.start, second.turn - _SECOND)
            found = again if found is None or (again is not None and again < found) else found
        return found

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Return the next slots after a moment, at most ``count``."""
        slots: list[datetime] = []
        while len(slots) < count and (slot := self.after(slots[-1] if slots else moment)) is not None:
            slots.append(slot)
        return slots

    def between(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """Yield the slots from ``first`` to ``last``, both of them included."""
        slot = self.after(first.astimezone(UTC) - timedelta(microseconds=1))
        while slot is not None and slot <= last:
            yield slot
            slot = self.after(slot)

    @property
    def _everyhour(self) -> bool:
        return len(self._hours) == len(HOUR.values)

    def _on_from(self, wall: datetime, moment: datetime) -> datetime | None:
        """Return the first slot after ``moment`` of those that the wall shows at ``wall`` or later."""
        while (found := self._match(wall)) is not None:
            change = self._change(found)
            if change is None:
                slot = _instant(found, self.zone)
                if slot > moment:
                    return slot
                wall = found + _SECOND
            elif change.gap:
                if not self._everyhour and change.turn > moment:
                    return change.turn
                wall = change.end
            else:
                first, second = (_instant(found.replace(fold=fold), self.zone) for fold in (0, 1))
                if first > moment:
                    return first
                if self._everyhour and second > moment:
                    return second
                wall = found + _SECOND if self._everyhour else change.end
        return None

    def _match(self, wall: datetime) -> datetime | None:
        """Return the first time on the wall, at ``wall`` or later, that the expression takes."""
        last = wall.year + _YEARS
        day, at = wall.date(), (wall.hour, wall.minute, wall.second)
        while day.year <= last:
            if day.month not in self._months:
                day, at = _next_month(day), (0, 0, 0)
            elif self._days.take(day) and (time := self._time(at)) is not None:
                return datetime(day.year, day.month, day.day, *time)  # noqa: DTZ001 - a time on the wall
            else:
                day, at = day + _DAY, (0, 0, 0)
        return None

    def _time(self, at: tuple[int, int, int]) -> tuple[int, int, int] | None:
        """Return the first time of a day at ``at`` or later; None when it is over."""
        hour, minute, second = at
        fields = self._hours, self._minutes, self._seconds
        if hour in fields[0]:
            if minute in fields[1] and (found := _least(fields[2], second)) is not None:
                return hour, minute, found
            if (found := _least(fields[1], minute + 1)) is not None:
                return hour, found, fields[2][0]
        later = _least(fields[0], hour + 1)
        return None if later is None else (later, fields[1][0], fields[2][0])

    def _change(self, wall: datetime) -> _Change | None:
        """Return the change of the zone's clock that a time on the wall falls into."""
        before, after = _offset(wall, self.zone, 0), _offset(wall, self.zone, 1)
        if before == after:
            return None
        low, high = sorted(((wall - after).replace(tzinfo=UTC), (wall - before).replace(tzinfo=UTC)))
        # the second in which it happens: before it the old offset holds
        seconds = range(int((high - low).total_seconds()) + 1)
        turn = low + timedelta(
            seconds=bisect_left(
                seconds, True, key=lambda n: (low + n * _SECOND).astimezone(self.zone).utcoffset() != before
            )
        )
        ends = sorted(((turn + before).replace(tzinfo=None), (turn + after).replace(tzinfo=None)))
        return _Change(gap=after > before, turn=turn, start=ends[0], end=ends[1])

    def _repeated(self, wall: datetime) -> _Change | None:
        change = self._change(wall)
        return None if change is None or change.gap else change


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of a zone's clock.

    Attributes:
        gap: it goes forward: what lies between does not exist; else it comes twice.
        turn: when it happens.
        start: first time on the wall that does not exist, or that comes twice.
        end: first one after it that does exist, or comes once.
    """

    gap: bool
    turn: datetime
    start: datetime
    end: datetime


@lru_cache(maxsize=1_024)
def parse(text: str, zone: str = "UTC") -> Cron:
    """Check an expression: five fields, or six with the seconds first, or ``@hourly`` and its like.

    Args:
        text: fields minute, hour, day of month, month, weekday. Each is ``*``, a number, a name, a range, a
            step (``*/5``, ``10-50/20``) or a list of these; a day may be ``L`` (the last one), a weekday
            ``MON#2`` (the second Monday) or ``FRIL`` (the last Friday).
        zone: IANA name.

    Raises:
        InvalidInput: it is none, no slot ever comes, or there is no such zone.
    """
    where = zone_of(zone)
    parts = split(text)
    seconds, minutes, hours, months = (
        tuple(sorted(numbers(field, parts[place], text)))
        for field, place in ((SECOND, 0), (MINUTE, 1), (HOUR, 2), (MONTH, 4))
    )
    cron = Cron(text, where, seconds, minutes, hours, months, Days(parts[3], parts[5], text))
    if cron._match(_SOME_YEAR) is None:  # noqa: SLF001 - its own class
        raise InvalidInput(
            f"no day ever fits {text!r}", hint=f"{DAY.name} {parts[3]} of {MONTH.name} {parts[4]} never comes"
        )
    return cron


def _least(values: tuple[int, ...], low: int) -> int | None:
    place = bisect_left(values, low)
    return values[place] if place < len(values) else None


def _next_month(day: date) -> date:
    return day.replace(day=1) + timedelta(days=calendar.monthrange(day.year, day.month)[1])


def _offset(wall: datetime, zone: ZoneInfo, fold: int) -> timedelta:
    offset = wall.replace(tzinfo=zone, fold=fold).utcoffset()
    assert offset is not None
    return offset


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)
