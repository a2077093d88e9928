"""Lines of attempts, put in order from stored chunks: pure, whoever reads them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.client.documents import rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from tributary_daemon.store.logs import ChunkRow

STREAMS: Final = ("stdout", "stderr", "log")
DROPPED: Final = "dropped"
"""Stream of the record that stands for lines which were not kept."""
LATEST: Final = timedelta(seconds=10)
"""How long after it was said a line is written at the latest, unless the database was away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One line that an attempt said.

    Attributes:
        id: of the run or intent.
        step: id of the step; None for an intent.
        item: key of the item of a fan-out; None for anything else.
        attempt: its number.
        at: when it was said.
        stream: ``stdout``, ``stderr``, ``log``, or ``dropped`` for lines that were not kept.
        level: of a line of a log.
        text: without its newline.
        fields: of a line of a log; of dropped lines how many ``lines`` and ``bytes``.
    """

    id: str
    step: str | None
    item: str | None
    attempt: int
    at: datetime
    stream: str
    level: str | None
    text: str
    fields: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the line as ``logs`` prints it."""
        return {
            "at": rfc3339(self.at),
            "id": self.id,
            "step": self.step,
            "item": self.item,
            "attempt": self.attempt,
            "stream": self.stream,
            "level": self.level,
            "text": self.text,
            "fields": self.fields,
        }


class Merge:
    """Puts the lines of several attempts in the order in which they were said.

    Chunks come in the order of their writing, each at most once per part of an attempt; a chunk that was
    seen is passed over, so overlapping pages do no harm.

    Args:
        work_id: of the run or intent.
        streams: those that are wanted; empty for all.
        whole: the chunks begin with the first of each attempt, so a gap before the first is one, too.
    """

    def __init__(self, work_id: str, streams: Collection[str] = (), *, whole: bool = True) -> None:
        self._id = work_id
        self._streams = frozenset(streams) or frozenset(STREAMS)
        self._whole = whole
        self._count = 0
        # per attempt: last part, lines and bytes up to its end, time of its last line
        self._known: dict[tuple[int, int], tuple[int, int, int, datetime]] = {}
        self._waiting: list[tuple[datetime, int, LogRecord]] = []
        self.newest: datetime | None = None

    def add(self, rows: Iterable[ChunkRow]) -> None:
        """Take chunks."""
        for row in rows:
            if self.newest is None or row.at > self.newest:
                self.newest = row.at
            self._add(row)

    def ready(self) -> Iterator[LogRecord]:
        """Return the lines before which none can come any more."""
        if self.newest is not None:
            yield from self._until(self.newest - LATEST)

    def rest(self) -> Iterator[LogRecord]:
        """Return all the other lines, too."""
        yield from self._until(None)

    def _until(self, end: datetime | None) -> Iterator[LogRecord]:
        while self._waiting and (end is None or self._waiting[0][0] < end):
            yield heapq.heappop(self._waiting)[2]

    def _add(self, row: ChunkRow) -> None:
        key = (row.ordinal, row.seq)
        known = self._known.get(key)
        if known is not None and row.part <= known[0]:
            return
        lines, size = (known[1], known[2]) if known is not None else (0, 0)
        said_at = known[3] if known is not None else None
        for number, entry in enumerate(row.entries):
            at = row.at - timedelta(microseconds=entry[0])
            # within an attempt the order of writing counts
            said_at = at if said_at is None else max(said_at, at)
            if number == 0 and row.bytes_before > size and (known is not None or self._whole):
                self._gap(row, said_at, row.lines_before - lines, row.bytes_before - size)
            if entry[1] in self._streams:
                self._entry(row, said_at, entry)
        self._known[key] = (
            row.part, row.lines_before + row.lines, row.bytes_before + row.bytes, said_at or row.at,
        )  # fmt: skip

    def _entry(self, row: ChunkRow, at: datetime, entry: list[Any]) -> None:
        if entry[1] == "log":
            self._put(row, at, "log", entry[2], level=entry[3], fields=entry[4])
            return
        lines = entry[2].split("\n")
        if not lines[-1]:
            del lines[-1]
        for line in lines:
            self._put(row, at, entry[1], line.removesuffix("\r"))

    def _gap(self, row: ChunkRow, at: datetime, lines: int, size: int) -> None:
        text = f"{lines:,} line{'s' if lines != 1 else ''} ({size:,} bytes) dropped"
        self._put(row, at, DROPPED, text, fields={"lines": lines, "bytes": size})

    def _put(
        self,
        row: ChunkRow,
        at: datetime,
        stream: str,
        text: str,
        *,
        level: str | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        self._count += 1
        record = LogRecord(
            id=self._id, step=row.step_id, item=row.item_key, attempt=row.attempt, at=at, stream=stream,
            level=level, text=text, fields=fields,
        )  # fmt: skip
        heapq.heappush(self._waiting, (at, self._count, record))
