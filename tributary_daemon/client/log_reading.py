"""Reading what attempts said: all of it, its end, or what is new; sans-I/O, for both clients."""

from __future__ import annotations

import re
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tributary_daemon.client.log_records import STREAMS, LogRecord, Merge
from tributary_daemon.client.reading import missing, resolve_id
from tributary_daemon.errors import InvalidInput, NotFound
from tributary_daemon.model import durations
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.store import logs, runs
from tributary_daemon.store.logs import Place, Wanted

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.logs import ChunkRow

POLL: Final = 0.3
"""Seconds between two looks for what is new."""
_PAGE: Final = 200
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "skipped", "discarded"})
# writers commit a moment after they have looked at the clock: what is new may lie before what was seen
_BACK: Final = timedelta(seconds=3)
_ITEM: Final = re.compile(r"(?P<step>[^\[\]]+)\[(?P<item>.*)\]", re.DOTALL)


class LogQuery:
    """What lines are wanted, and how far they have been read.

    Args:
        id: of the run or intent, part of it, or ``@latest``.
        step: id of a step, or ``STEP[KEY]`` for one item of a fan-out; None for all.
        attempt: number of an attempt; None for all.
        tail: only so many of the lines that are there already; None for all.
        since: only what was written within this time; None for all.
        streams: ``stdout``, ``stderr``, ``log``; empty for all.

    Raises:
        InvalidInput: one of them is malformed.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the word of the documents
        step: str | None = None,
        *,
        attempt: int | None = None,
        tail: int | None = None,
        since: float | str | timedelta | None = None,
        streams: Collection[str] = (),
    ) -> None:
        for stream in streams:
            if stream not in STREAMS:
                raise InvalidInput(f"unknown stream {stream!r}", hint=f"streams: {', '.join(STREAMS)}")
        if attempt is not None and not 1 <= attempt <= 32_767:  # noqa: PLR2004 - those of the column
            raise InvalidInput(f"attempt {attempt} is out of range", hint="attempts are counted from 1")
        if tail is not None and tail < 0:
            raise InvalidInput(f"tail {tail} is out of range", hint="a number of lines, 0 or more")
        match = None if step is None else _ITEM.fullmatch(step)
        self._text = id
        self._tail = tail
        self._streams = streams
        self._wanted = Wanted(
            "",
            step_id=match["step"] if match else step,
            item_key=match["item"] if match else None,
            attempt=attempt,
            since=None if since is None else durations.seconds(since),
        )
        self._merge = Merge("", streams)
        self._place: Place | None = None
        self.complete = False

    @property
    def work_id(self) -> str:
        """The full id, once it is known."""
        return str(self._wanted.work_id)

    def open(self) -> Operation[None]:
        """Find the work and the step.

        Raises:
            NotFound: there is no such work, or no such step or item in it.
            AmbiguousId: the part of an id fits several.
        """
        work_id = yield from resolve_id(self._text)
        self._wanted = self._wanted._replace(work_id=work_id)
        partial = self._wanted.since is not None or self._tail is not None
        self._merge = Merge(work_id, self._streams, whole=not partial)
        if self._wanted.step_id is None:
            if (yield from runs.state(work_id)) is None:
                raise missing(work_id)
            return
        known = yield from logs.steps(self._wanted)
        if not known:
            raise missing(work_id)
        names = sorted(name for name in known if name is not None)
        if self._wanted.step_id not in names:
            told = suggest(self._wanted.step_id, names) if names else "an intent has no steps: leave it out"
            raise NotFound(f"{work_id} has no step '{self._wanted.step_id}'", hint=told)
        # items that are still to come may be followed
        if known[self._wanted.step_id] is False:
            raise NotFound(
                f"step '{self._wanted.step_id}' has no item '{self._wanted.item_key}'",
                hint=f"`trib status --items {self._wanted.step_id}` lists them",
            )

    def page(self) -> Operation[list[LogRecord]]:
        """Read what is there already, page by page; `complete` says that it was the last one."""
        if self._tail is not None:
            found = yield from self._last(self._tail)
            self.complete = True
            return found
        rows = yield from logs.behind(self._wanted, self._place, _PAGE)
        self._take(rows)
        self.complete = len(rows) < _PAGE
        return list(self._merge.rest() if self.complete else self._merge.ready())

    def news(self) -> Operation[list[LogRecord]]:
        """Read what has come since the last look."""
        newest = self._merge.newest
        place = None if newest is None else Place(newest - _BACK, -1, 0, -1)
        wanted = self._wanted._replace(since=None) if newest is not None else self._wanted
        while True:
            rows = yield from logs.behind(wanted, place, _PAGE)
            self._take(rows)
            if len(rows) < _PAGE:
                return list(self._merge.rest())
            place = _place_of(rows[-1])

    def ended(self) -> Operation[bool]:
        """Return whether the work has ended: what it said was written before."""
        state = yield from runs.state(self.work_id)
        if state is None:
            raise missing(self.work_id)
        return state.state in _ENDED

    def _take(self, rows: list[ChunkRow]) -> None:
        self._merge.add(rows)
        if rows:
            self._place = _place_of(rows[-1])

    def _last(self, count: int) -> Operation[list[LogRecord]]:
        """Read the last lines, from the newest chunk backwards."""
        chunks: deque[ChunkRow] = deque()
        place: Place | None = None
        while True:
            rows = yield from logs.before(self._wanted, place, _PAGE)
            chunks.extendleft(rows)
            lines = sum(_counted(row, self._streams) for row in chunks)
            # one page more, as lines of other attempts may have been said before and written later
            if len(rows) < _PAGE or (lines >= count and len(chunks) > _PAGE):
                break
            place = _place_of(rows[-1])
        self._take(list(chunks))
        found = list(self._merge.rest())
        return found[-count:] if count else []


def _place_of(row: ChunkRow) -> Place:
    return Place(row.at, row.ordinal, row.seq, row.part)


def _counted(row: ChunkRow, streams: Collection[str]) -> int:
    if not streams:
        return row.lines
    return sum(
        1 if entry[1] == "log" else entry[2].count("\n") or 1 for entry in row.entries if entry[1] in streams
    )
