"""The thread that writes what attempts say: many attempts per statement, never one per line.

Nothing of it exists before an attempt says something: no thread, no connection, no statement. Handlers never
wait for it; an attempt that has said something is reported as ended only once its lines are written, so
whoever sees that end finds them. A database that is away delays that by one try.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import psycopg

from tributary_daemon import events
from tributary_daemon.daemon.line_buffer import LineBuffer
from tributary_daemon.daemon.reconnect import LOST, Reconnect
from tributary_daemon.sealing.envelope import Field, Origin
from tributary_daemon.store import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from tributary_daemon.daemon.chunks import Chunk
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.sealing.ring import Ring

    class Sink(Protocol):
        """Where chunks go."""

        def write(self, chunks: Sequence[Chunk]) -> None:
            """Store chunks, or pass them on.

            Raises:
                psycopg.Error: they could not be stored.
                DatabaseUnreachable: there is no connection.
            """

        @property
        def pause(self) -> float:
            """Seconds until the next try after a loss."""

        def lost(self, error: Exception) -> None:
            """It was lost; the next write opens it anew."""

        def close(self) -> None:
            """Give up what it holds; the next write opens it anew."""

    Then = Callable[[], None]

EVERY: Final = 0.5
"""Seconds from a line to its writing, at most."""
BACKLOG: Final = 16 * 1_048_576
"""Bytes that wait for a database which is away; what exceeds them is lost."""
_IDLE: Final = 30.0
_BATCH: Final = 1_048_576


class LineWriter:
    """Writes the lines of the attempts of one process.

    Args:
        sink: where they go.
        limit: bytes kept of each attempt.
        label: of the process, for messages.
    """

    def __init__(self, sink: Sink, limit: int, label: str) -> None:
        self._sink, self._limit, self._label = sink, limit, label
        self._news = threading.Condition()
        self._said: dict[LineBuffer, None] = {}
        self._due = 0.0
        self._ended: list[tuple[LineBuffer, Then]] = []
        self._stopping = False
        self._thread: threading.Thread | None = None
        # only of the thread
        self._backlog: list[Chunk] = []

    def open(self, held: Held) -> LineBuffer:
        """Return the buffer of an attempt; called when it first says something."""
        return LineBuffer(
            held.token, held.shard, held.attempt, limit=self._limit, mask=held.mask, said=self._say,
            ended=self._end, tenant=held.tenant,
        )  # fmt: skip

    def close(self, patience: float = 2.0) -> None:
        """Write what is there, and end the thread."""
        with self._news:
            self._stopping = True
            self._news.notify()
            thread = self._thread
        if thread is not None:
            thread.join(patience)

    def _say(self, buffer: LineBuffer) -> None:
        with self._news:
            if not self._said:
                self._due = time.monotonic() + EVERY
            self._said[buffer] = None
            self._wake()

    def _end(self, buffer: LineBuffer, then: Then) -> None:
        with self._news:
            if not self._stopping:
                self._ended.append((buffer, then))
                self._wake()
                return
        then()

    def _wake(self) -> None:
        # an exception may be raised into a handler's thread between any two lines, the start included
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
            self._thread.start()
        self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                ended, said, stopping = self._wait()
            self._collect([*said, *(buffer for buffer, _ in ended)])
            try:
                self._write()
            finally:
                for _, then in ended:
                    then()
            if stopping:
                break
        self._sink.close()

    def _wait(self) -> tuple[list[tuple[LineBuffer, Then]], list[LineBuffer], bool]:
        """Wait for something to do; return it, and whether that is all."""
        while not (self._ended or self._stopping):
            now = time.monotonic()
            until = []
            if self._said:
                until.append(self._due)
            if self._backlog:
                until.append(now + self._sink.pause)
            if until and min(until) <= now:
                break
            if not self._news.wait(min(until) - now if until else _IDLE) and not until:
                self._sink.close()
        ended, self._ended = self._ended, []
        if not (self._stopping or time.monotonic() >= self._due):
            # what only an end has woken is not written more often for it
            gone = {buffer for buffer, _ in ended}
            self._said = {buffer: None for buffer in self._said if buffer not in gone}
            return ended, [], self._stopping
        said, self._said = list(self._said), {}
        return ended, said, self._stopping

    def _collect(self, buffers: Sequence[LineBuffer]) -> None:
        for buffer in buffers:
            self._backlog += buffer.take()
        size = sum(chunk.size for chunk in self._backlog)
        lost = 0
        while size > BACKLOG:
            size -= self._backlog[0].size
            lost += self._backlog.pop(0).lines
        if lost:
            events.emit(events.LinesLost(process=self._label, lines=lost, error="the database is away"))

    def _write(self) -> None:
        while self._backlog and not self._sink.pause:
            size = count = 0
            while count < len(self._backlog) and size < _BATCH:
                size += self._backlog[count].size
                count += 1
            batch = self._backlog[:count]
            try:
                self._sink.write(batch)
            except LOST as error:
                # they wait; whoever has ended meanwhile does not
                self._sink.lost(error)
                return
            except psycopg.Error as error:
                lines = sum(chunk.lines for chunk in batch)
                events.emit(events.LinesLost(process=self._label, lines=lines, error=str(error)))
            del self._backlog[:count]


class ChunkStore:
    """Chunks into the database, on a connection of its own that is closed after half a minute of silence.

    Args:
        url: of the database.
        label: of the process.
        prepare: whether statements may be prepared.
        keys: with which they are sealed; None for none.
    """

    def __init__(self, url: str, label: str, *, prepare: bool = True, keys: Ring | None = None) -> None:
        self._keys = keys
        self._link = Reconnect(url, f"trib {label} lines", prepare=prepare, silence=5.0)

    @property
    def pause(self) -> float:
        """Seconds until the next try after a loss."""
        return self._link.pause

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks, a statement per shard."""
        connection = self._link.connection()
        now = time.monotonic()
        for shard in {chunk.shard for chunk in chunks}:
            rows = [
                logs.ChunkToWrite(
                    *chunk.token,
                    chunk.attempt,
                    chunk.part,
                    chunk.pieces[0].lines_before,
                    chunk.pieces[0].bytes_before,
                    chunk.lines,
                    chunk.bytes,
                    self._entries(chunk, now),
                    *(chunk.drop or (None, None)),
                )
                for chunk in chunks
                if chunk.shard == shard
            ]
            logs.write(connection, shard, rows)

    def _entries(self, chunk: Chunk, now: float) -> str:
        text = chunk.entries(now)
        if self._keys is None:
            return text
        run, ordinal, _ = chunk.token
        return self._keys.seal(text, Origin(chunk.tenant, run, str(ordinal), Field.LINES))

    def lost(self, error: Exception) -> None:
        """Close the connection; the next one is opened after a pause."""
        self._link.lost(error)

    def close(self) -> None:
        """Close the connection; the next write opens another."""
        self._link.close()


def writer_of(setup: ProcessSetup) -> LineWriter | None:
    """Return the writer of a process; None when nothing of what attempts say is kept."""
    if not setup.max_log:
        return None
    store = ChunkStore(setup.url, setup.label, prepare=setup.prepare, keys=setup.ring)
    return LineWriter(store, setup.max_log, setup.label)
