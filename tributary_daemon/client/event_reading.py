"""Reading what happened: a page of it, or all that comes; sans-I/O, for both clients."""

from __future__ import annotations

import fnmatch
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tributary_daemon.client import cursors
from tributary_daemon.client.documents import Page, rfc3339
from tributary_daemon.client.options import due
from tributary_daemon.client.reading import missing, resolve_id
from tributary_daemon.client.records import EventDocument
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.happenings import EVENT_TYPES
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.store import events, fleet, runs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.events import After, EventRow

QUICKEST: Final = 0.1
"""Seconds between two looks for what is new, while there is something."""
_SLOWEST: Final = 1.0
_LARGEST: Final = 10_000
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "skipped", "discarded"})
# events are dated a moment before their transaction commits: what is new may lie before what was seen
BACK: Final = timedelta(seconds=5)
_START: Final = "step_started"


def page(
    text: str | None,
    after: str | None,
    limit: int,
    *,
    types: Iterable[str] = (),
    since: float | str | timedelta | datetime | None = None,
) -> Operation[Page[EventDocument]]:
    """Read events, oldest first: of one run or intent, else of all work.

    With a cursor those behind it, else the newest; the cursor of the page returned is always set, unless it
    is empty.

    Args:
        text: id; None for all.
        after: cursor of the page before.
        limit: events.
        types: only these; ``*`` stands for any letters. Empty for all.
        since: only what happened since then: a time, or a duration before now.

    Raises:
        InvalidInput: ``after`` is no cursor, or there is no such type.
        NotFound: there is no such work.
    """
    if not 1 <= limit <= _LARGEST:
        raise InvalidInput(f"limit {limit} is out of range", hint=f"1 to {_LARGEST:,}; page with the cursor")
    given = known_types(types)
    behind = None if after is None else place(after)
    work = None if text is None else (yield from resolve_id(text))
    lower = yield from moment(since)
    rows = yield from events.page(events.Wanted(work, given), behind, limit, lower)
    if not rows and work is not None and (yield from runs.state(work)) is None:
        raise missing(work)
    return Page(items=tuple(map(_document, rows)), after=cursor(rows[-1]) if rows else None)


def known_types(types: Iterable[str]) -> tuple[str, ...] | None:
    """Return the types that are named or fit a pattern; None for all.

    Raises:
        InvalidInput: nothing fits one of them.
    """
    if isinstance(types, str):
        raise InvalidInput("types is a list of names", hint=f"give [{types!r}]")
    found: list[str] = []
    for given in types:
        fitting = fnmatch.filter(EVENT_TYPES, given)
        if not fitting:
            raise InvalidInput(
                f"there are no events {given!r}", hint=suggest(given, EVENT_TYPES, shown=EVENT_TYPES)
            )
        found += fitting
    return tuple(dict.fromkeys(found)) or None


def place(text: str) -> After:
    """Return the place that a cursor stands for.

    Raises:
        InvalidInput: it is none.
    """
    at, work_id, ordinal, kind = cursors.parts(text, 4)
    return events.After(cursors.moment(at, text), work_id, cursors.whole(ordinal, text), kind)


def cursor(row: EventRow) -> str:
    """Return the cursor behind an event."""
    at, work_id, ordinal, kind = row.place
    return f"{rfc3339(at)}/{work_id}/{ordinal}/{kind}"


def moment(since: float | str | timedelta | datetime | None) -> Operation[datetime | None]:
    """Return a time, or the database's time less a duration."""
    at, seconds = due(since)
    if at is not None or seconds is None:
        return at
    try:
        return (yield from fleet.clock()).now - timedelta(seconds=seconds)
    except OverflowError:
        raise InvalidInput(f"{since!r} is too long ago", hint="leave it out for everything") from None


def _document(row: EventRow) -> EventDocument:
    return EventDocument(
        id=str(row.work_id),
        at=row.at,
        type=row.type,
        step=row.step_id,
        attempt=row.attempt,
        data=row.data,
        correlation_id=row.correlation_id,
        business_id=row.business_id,
    )


def _place(row: EventRow) -> After:
    return row.place


class Following:
    """All that happens from now on, or since a moment, each event once.

    Args:
        id: of one run or intent, part of it, or ``@latest``; None for all work.
        types: as for `page`.
        since: as for `page`; None for what happens from now on.
        after: cursor: all behind it.
        last: begin with the newest so many events there are; ``since`` and ``after`` say otherwise.

    Raises:
        InvalidInput: as `page`.
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the word of the documents
        *,
        types: Collection[str] = (),
        since: float | str | timedelta | datetime | None = None,
        after: str | None = None,
        last: int = 0,
    ) -> None:
        self._text = id
        self._wanted = events.Wanted(None, known_types(types))
        self._since = since
        self._place = None if after is None else place(after)
        self._last = last
        self._told = _Told()
        self._newest: datetime | None = None
        self.caught_up = False

    def open(self) -> Operation[list[EventDocument]]:
        """Find the work, and read what it begins with.

        Raises:
            NotFound: there is no such work.
            AmbiguousId: the part of an id fits several.
        """
        if self._text is not None:
            work = yield from resolve_id(self._text)
            if (yield from runs.state(work)) is None:
                raise missing(work)
            self._wanted = self._wanted._replace(work_id=work)
        now = (yield from fleet.clock()).now
        if self._place is not None:
            self._newest = self._place.at + BACK
            return []
        lower = yield from moment(self._since)
        if lower is not None:
            # read on from there, as if all before it had been seen
            self._place = events.After(lower, _NOBODY, -1, "")
            self._newest = lower + BACK
            return []
        self._newest = now
        # what has happened just now is known, shown or not
        known = yield from events.page(self._wanted, None, _LARGEST, now - BACK)
        shown = (yield from events.page(self._wanted, None, self._last)) if self._last else []
        self._told.fresh(sorted({row.place: row for row in (*known, *shown)}.values(), key=_place))
        return [_document(row) for row in shown]

    def news(self) -> Operation[list[EventDocument]]:
        """Read what has happened since the last look; `caught_up` says whether that is all by now."""
        assert self._newest is not None
        behind = self._place
        lower = None if behind is not None else self._newest - BACK
        rows = yield from events.page(self._wanted, behind, _LARGEST, lower)
        if behind is None and len(rows) == _LARGEST:
            # the newest of too many: go through them from the oldest on
            behind = events.After(self._newest - BACK, _NOBODY, -1, "")
            rows = yield from events.page(self._wanted, behind, _LARGEST)
        self.caught_up = len(rows) < _LARGEST
        self._place = None if self.caught_up else rows[-1].place
        fresh = self._told.fresh(rows)
        if rows:
            self._newest = max(self._newest, rows[-1].at)
        self._told.forget(self._newest - 2 * BACK)
        return [_document(row) for row in fresh]

    def ended(self) -> Operation[bool]:
        """Return whether nothing more is to come: never so of all work."""
        if self._wanted.work_id is None:
            return False
        state = yield from runs.state(self._wanted.work_id)
        # pruned meanwhile: nothing more comes, either
        return state is None or state.state in _ENDED


class Rhythm:
    """How long to wait before the next look: less while something happens."""

    def __init__(self) -> None:
        self._pause = QUICKEST

    def pause(self, *, found: bool) -> float:
        """Return the seconds to wait, after a look that has found something or nothing."""
        self._pause = QUICKEST if found else min(self._pause * 1.5, _SLOWEST)
        return self._pause


_NOBODY: Final = "00000000-0000-0000-0000-000000000000"


class _Told:
    """Which events of the last moments were told.

    The start of an attempt is dated by its claim while it runs, and more exactly once it has ended: it is the
    same start, unless something else of the step lies in between.
    """

    def __init__(self) -> None:
        self._known: dict[After, datetime] = {}
        self._starts: dict[tuple[UUID, int | None, int | None], list[datetime]] = {}
        self._others: dict[tuple[UUID, int | None], list[datetime]] = {}

    def fresh(self, rows: Iterable[EventRow]) -> list[EventRow]:
        """Return those that were not told yet, and take note of them; they come in their order."""
        return [row for row in rows if self._is_fresh(row)]

    def forget(self, before: datetime) -> None:
        """Forget what happened before a time; it is asked for no more."""
        self._known = {key: at for key, at in self._known.items() if at >= before}
        self._starts = {key: ats for key, ats in self._starts.items() if ats[-1] >= before}
        self._others = {key: ats for key, ats in self._others.items() if ats[-1] >= before}

    def _is_fresh(self, row: EventRow) -> bool:
        step = (row.work_id, row.ordinal)
        if row.type == _START and row.data is None:
            starts = self._starts.setdefault((*step, row.attempt), [])
            others = self._others.get(step, ())
            if any(not any(min(at, row.at) < other < max(at, row.at) for other in others) for at in starts):
                return False
            starts.append(row.at)
            return True
        if row.place in self._known:
            return False
        self._known[row.place] = row.at
        self._others.setdefault(step, []).append(row.at)
        return True
