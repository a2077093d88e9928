"""What one attempt says, until it is written: bounded whatever it says, head and tail kept.

The first half of the limit is the head and always stays. What follows goes through rings, one per stream;
when they are full the loudest one forgets its oldest piece. What is stored of it rotates: new chunks take the
place of old ones. So a flood costs a copy of each piece, no memory, and at most `LATER` bytes per write.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict, deque
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.daemon.chunks import CHUNK, Chunk, Piece
from tributary_daemon.model.masking import Mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tributary_daemon.model.masking import MaskedStream

LATER: Final = 65_536
"""Bytes that one write brings of an attempt that is past its limit."""
_PIECE: Final = 16_384
_LONGEST_LINE: Final = 8_192
_LARGEST_TEXT: Final = 32_768
_DEEPEST: Final = 8
_NOTHING: Final = Mask([])


class LineBuffer:
    """Takes what one attempt says, from any thread; the writer takes it away.

    Args:
        token: run_id, ordinal and seq of the attempt.
        shard: of its row.
        attempt: its number.
        limit: bytes kept of all that it says.
        mask: of its secrets.
        tenant: whose attempt it is.
        said: called with the first thing said since the last `take`.
        ended: called once nothing more is said, with what is to follow when all of it is written.
    """

    def __init__(
        self,
        token: tuple[str, int, int],
        shard: int,
        attempt: int,
        *,
        limit: int,
        said: Callable[[LineBuffer], None],
        ended: Callable[[LineBuffer, Callable[[], None]], None],
        mask: Mask | None = None,
        tenant: str = "",
    ) -> None:
        self._tenant = tenant
        self._token, self._shard, self._attempt = token, shard, attempt
        self._mask = mask or _NOTHING
        self._said, self._ended = said, ended
        self._lock = threading.Lock()
        self._waiting = False
        self._streams: list[Output] = []
        self._relayed: list[Chunk] = []
        self._part = 0
        # of all that was said, dropped pieces included
        self._lines = self._bytes = 0
        self._head: list[Piece] = []
        self._head_room = limit // 2
        self._rings: defaultdict[str, deque[Piece]] = defaultdict(deque)
        # their sizes
        self._loud: Counter[str] = Counter()
        self._tail_room = limit - limit // 2
        # what is stored of the tail: part and size of each chunk
        self._tail: deque[tuple[int, int]] = deque()
        self._tail_size = self._tail_written = 0

    def line(self, text: str, level: str, fields: Mapping[str, Any]) -> None:
        """Take one line of a log."""
        given = plain(fields, self._mask)
        packed = json.dumps(given) if given else None
        if packed is not None and len(packed) > CHUNK:
            packed = json.dumps({"dropped": f"fields of {len(packed):,} bytes"})
        data = plain(text, self._mask).encode()
        if len(data) > _LARGEST_TEXT:
            data = data[:_LARGEST_TEXT] + b" (cut)"
        self._add("log", data, 1, level, packed)

    def output(self, stream: str) -> Output:
        """Return where the bytes of ``stdout`` or ``stderr`` go."""
        opened = Output(stream, self._mask.stream() if self._mask else None, self._add)
        self._streams.append(opened)
        return opened

    def absorb(self, chunks: Iterable[Chunk]) -> None:
        """Take chunks that the buffer of an isolated process has made."""
        with self._lock:
            self._relayed += chunks
            first, self._waiting = not self._waiting, True
        if first:
            self._said(self)

    def end(self, then: Callable[[], None]) -> None:
        """Nothing more is said: ``then`` is called once all is written, or cannot be."""
        for stream in self._streams:
            stream.close()
        self._ended(self, then)

    def settle(self, patience: float) -> bool:
        """Wait until all that was said so far is written, or cannot be; False when that takes too long."""
        done = threading.Event()
        self._ended(self, done.set)
        return done.wait(patience)

    def take(self) -> list[Chunk]:
        """Return what is to be written now; it is the caller's from here on."""
        with self._lock:
            self._waiting = False
            relayed, self._relayed = self._relayed, []
            head, self._head = self._head, []
            ring = sorted(chain(*self._rings.values()), key=lambda piece: piece.bytes_before)
            self._rings.clear()
            self._loud.clear()
            return [*relayed, *map(self._chunk, _grouped(head)), *map(self._rotated, _grouped(ring))]

    def _add(
        self, stream: str, data: bytes, lines: int, level: str | None = None, fields: str | None = None
    ) -> None:
        with self._lock:
            piece = Piece(time.monotonic(), stream, data, lines, self._lines, self._bytes, level, fields)
            self._lines += lines
            self._bytes += len(data)
            if self._head_room > 0:
                # the last one of the head may reach past its room
                self._head_room -= piece.size
                self._head.append(piece)
            else:
                self._rings[stream].append(piece)
                self._loud[stream] += piece.size
                room = max(self._tail_room - self._tail_written, min(LATER, self._tail_room))
                while self._loud.total() > max(room, piece.size):
                    self._forget()
            first, self._waiting = not self._waiting, True
        if first:
            self._said(self)

    def _forget(self) -> None:
        """Forget the oldest piece of the loudest stream: a flood does not wash the others away."""
        loudest = max(self._loud, key=lambda stream: self._loud[stream])
        self._loud[loudest] -= self._rings[loudest].popleft().size

    def _chunk(self, pieces: list[Piece], drop: tuple[int, int] | None = None) -> Chunk:
        chunk = Chunk(self._token, self._shard, self._attempt, self._part, tuple(pieces), drop, self._tenant)
        self._part += 1
        if self._head_room > 0:
            # a row costs something beside its text: who says a word every second stays bounded too
            self._head_room -= chunk.size - sum(piece.size for piece in pieces)
        return chunk

    def _rotated(self, pieces: list[Piece]) -> Chunk:
        size = self._chunk_size(pieces)
        first = last = None
        while self._tail and self._tail_size + size > self._tail_room:
            last, gone = self._tail.popleft()
            first = last if first is None else first
            self._tail_size -= gone
        self._tail.append((self._part, size))
        self._tail_size += size
        self._tail_written += size
        return self._chunk(pieces, None if first is None or last is None else (first, last))

    def _chunk_size(self, pieces: list[Piece]) -> int:
        return Chunk(self._token, self._shard, self._attempt, self._part, tuple(pieces)).size


class Output:
    """The bytes of one stream of an attempt: whole lines leave it, masked.

    Args:
        stream: ``stdout`` or ``stderr``.
        masked: filter of the attempt's secrets; None for none.
        add: takes a stream's name, whole lines and how many they are.
    """

    def __init__(
        self, stream: str, masked: MaskedStream | None, add: Callable[[str, bytes, int], None]
    ) -> None:
        self._stream, self._masked, self._add = stream, masked, add
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take what was read; return what may be shown of it: what could begin a secret is held back."""
        if self._masked is not None:
            data = self._masked.feed(data)
        self._lines(data)
        return data

    def close(self) -> bytes:
        """Return what was held back; what has no newline at its end is a line all the same."""
        data = self._masked.close() if self._masked is not None else b""
        self._lines(data)
        if self._rest:
            self._add(self._stream, self._rest, 1)
            self._rest = b""
        return data

    def _lines(self, data: bytes) -> None:
        whole = self._rest + data
        place = 0
        while True:
            end = whole.rfind(b"\n", place, place + _PIECE) + 1
            if not end:
                # a line longer than that is cut: whoever writes none must not grow here
                if len(whole) - place <= _LONGEST_LINE:
                    break
                end = place + _LONGEST_LINE
                self._add(self._stream, whole[place:end], 1)
            else:
                self._add(self._stream, whole[place:end], whole.count(b"\n", place, end))
            place = end
        self._rest = whole[place:]


def _grouped(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Return pieces in groups that make a chunk each: without gaps, and not too large."""
    groups: list[list[Piece]] = []
    size = 0
    for piece in pieces:
        if not groups or size >= CHUNK or not piece.follows(groups[-1][-1]):
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += piece.size
    return groups


def plain(value: Any, mask: Mask = _NOTHING, level: int = 0) -> Any:
    """Return a value as JSON that PostgreSQL can store, masked; what JSON does not know becomes its text."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if abs(value) < float("inf") else str(value)
        case dict() if level < _DEEPEST:
            return {plain(str(key), mask): plain(part, mask, level + 1) for key, part in value.items()}
        case list() | tuple() if level < _DEEPEST:
            return [plain(part, mask, level + 1) for part in value]
    text = mask.text(value if isinstance(value, str) else str(value))
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
