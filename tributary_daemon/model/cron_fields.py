"""The fields of a cron expression: their values, names and ranges, and which days they take."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from tributary_daemon.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import date

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@minutely": "* * * * *",
}
_FORM: Final = "minute hour day month weekday, such as 30 2 * * MON-FRI"
_NTH: Final = re.compile(r"(\w+)#([0-9]+)")
_LAST: Final = re.compile(r"(\w+)L")
_LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Field:
    """One field: what it is called, its numbers, and the names that stand for some of them."""

    name: str
    values: range
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        """Return the number that a text means; None when it means none."""
        if text.upper() in self.names:
            return self.values.start + self.names.index(text.upper())
        if text.isascii() and text.isdigit() and len(text) <= len(str(self.values.stop)):
            value = int(text)
            return value if value in self.values else None
        return None


SECOND: Final = Field("second", range(60))
MINUTE: Final = Field("minute", range(60))
HOUR: Final = Field("hour", range(24))
DAY: Final = Field("day", range(1, 32))
MONTH: Final = Field("month", range(1, 13), tuple(name.upper() for name in calendar.month_abbr[1:]))
# 7 is Sunday, too
WEEKDAY: Final = Field("weekday", range(8), ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))


def split(text: str) -> list[str]:
    """Return the six fields of an expression, the seconds first.

    Raises:
        InvalidInput: there are more or fewer.
    """
    if len(text) > _LONGEST:
        raise InvalidInput("a cron expression has at most 1,000 characters", hint=f"write {_FORM}")
    parts = text.split()
    if len(parts) == 1 and parts[0].startswith("@"):
        meant = MACROS.get(parts[0].lower())
        if meant is None:
            raise InvalidInput(
                f"{text!r} is no cron expression", hint=f"known are {', '.join(MACROS)}; or write {_FORM}"
            )
        parts = meant.split()
    elif parts and parts[0].startswith("@"):
        raise InvalidInput(f"{text!r} is no cron expression", hint="every five minutes is */5 * * * *")
    if len(parts) == 5:  # noqa: PLR2004 - without seconds
        parts.insert(0, "0")
    if len(parts) != 6:  # noqa: PLR2004 - with seconds
        count = f"{len(parts)} field{'s' * (len(parts) != 1)}" if parts else "nothing"
        raise InvalidInput(
            f"a cron expression has 5 fields, or 6 with the seconds first; {text!r} has {count}",
            hint=f"write {_FORM}",
        )
    return parts


def numbers(field: Field, text: str, whole: str) -> set[int]:
    """Return the numbers that a field takes.

    Raises:
        InvalidInput: a part of it is none; the message names it.
    """
    found: set[int] = set()
    for part in text.split(","):
        found.update(_part(field, part, whole))
    return found


def _part(field: Field, part: str, whole: str) -> range:
    body, slash, step = part.partition("/")
    pace, longest = 1, len(field.values) - (field is WEEKDAY)
    if slash:
        if not (step.isascii() and step.isdigit() and 0 < int(step[:5]) <= longest):
            _refuse(field, part, whole, f"a step of {field.name}s is a number from 1 to {longest}")
        pace = int(step)
    if body in ("*", "?"):
        return range(field.values.start, field.values.start + longest, pace)
    first, dash, last = body.partition("-")
    start = field.number(first)
    end = field.number(last) if dash else (field.values[-1] if slash else start)
    if start is None or end is None:
        _refuse(field, part, whole, _allowed(field))
    if end < start:
        if field is WEEKDAY and end == 0:
            end = 7
        else:
            _refuse(
                field, part, whole, f"ranges go up: write {first}-{field.values[-1]},{field.values[0]}-{last}"
            )
    return range(start, end + 1, pace)


def _allowed(field: Field) -> str:
    names = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
    special = {
        DAY: ", or L for the last one",
        WEEKDAY: ", MON#2 for the second Monday, FRIL for the last Friday",
    }
    return f"{field.name}s are {field.values[0]} to {field.values[-1]}{names}{special.get(field, '')}"


def _refuse(field: Field, part: str, whole: str, hint: str) -> NoReturn:
    raise InvalidInput(f"{part!r} is no {field.name} in the cron expression {whole!r}", hint=hint)


class Days:
    """Which days the two fields take together.

    As in every cron: where one of them begins with a star, both must fit; else one of them suffices.

    Args:
        days: field of the days of the month.
        weekdays: field of the weekdays.
        whole: the expression, for messages.

    Raises:
        InvalidInput: a part is refused.
    """

    __slots__ = ("_both", "_days", "_last", "_last_of", "_nth", "_weekdays")

    def __init__(self, days: str, weekdays: str, whole: str) -> None:
        self._both = days[:1] in ("*", "?") or weekdays[:1] in ("*", "?")
        plain = [part for part in days.split(",") if part.upper() != "L"]
        self._last = len(plain) < len(days.split(","))
        self._days = numbers(DAY, ",".join(plain), whole) if plain else set[int]()
        self._weekdays: set[int] = set()
        self._nth: set[tuple[int, int]] = set()
        self._last_of: set[int] = set()
        for part in weekdays.split(","):
            self._add(part, whole)

    def _add(self, part: str, whole: str) -> None:
        if (nth := _NTH.fullmatch(part)) is not None:
            day, count = WEEKDAY.number(nth[1]), int(nth[2][:3])
            if day is None or not 1 <= count <= 5:  # noqa: PLR2004 - no month has six of one weekday
                _refuse(WEEKDAY, part, whole, _allowed(WEEKDAY))
            self._nth.add((day % 7, count))
        elif (last := _LAST.fullmatch(part.upper())) is not None and WEEKDAY.number(last[1]) is not None:
            self._last_of.add((WEEKDAY.number(last[1]) or 0) % 7)
        else:
            self._weekdays.update(number % 7 for number in _part(WEEKDAY, part, whole))

    def take(self, day: date) -> bool:
        """Return whether a day is taken."""
        of_month = day.day in self._days or (self._last and day.day == _length(day))
        if self._both and not of_month:
            return False
        if of_month and not self._both:
            return True
        weekday = day.isoweekday() % 7
        return (
            weekday in self._weekdays
            or (weekday, (day.day + 6) // 7) in self._nth
            or (weekday in self._last_of and day.day + 7 > _length(day))
        )


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]
