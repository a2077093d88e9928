"""Chunks: what attempts said, on its way into rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

CHUNK: Final = 32_768
"""Bytes after which a chunk is full."""
_PIECE_COST: Final = 32
_CHUNK_COST: Final = 256


class Piece(NamedTuple):
    """Something said at one moment: whole lines of a stream, or one line of a log.

    Attributes:
        at: monotonic seconds, which all processes of a machine share.
        stream: ``stdout``, ``stderr`` or ``log``.
        data: UTF-8.
        lines: how many lines it is.
        lines_before: lines that the attempt had said before.
        bytes_before: the same in bytes.
        level: of a line of a log.
        fields: JSON object, of a line of a log.
    """

    at: float
    stream: str
    data: bytes
    lines: int
    lines_before: int = 0
    bytes_before: int = 0
    level: str | None = None
    fields: str | None = None

    @property
    def size(self) -> int:
        """Bytes that count against the limit."""
        return len(self.data) + (len(self.fields) if self.fields else 0) + _PIECE_COST

    def follows(self, other: Piece) -> bool:
        """Whether nothing was dropped between the other one and this one."""
        return self.bytes_before == other.bytes_before + len(other.data)

    def entry(self, now: float) -> list[Any]:
        """Return it as a chunk holds it."""
        text = self.data.decode("utf-8", "replace").replace("\x00", "\\x00")
        age = max(0, round((now - self.at) * 1_000_000))
        if self.stream != "log":
            return [age, self.stream, text]
        return [age, self.stream, text, self.level, json.loads(self.fields) if self.fields else None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces that follow each other without a gap.

    Attributes:
        token: run_id, ordinal and seq of the attempt.
        shard: of its row.
        attempt: its number.
        part: number of the chunk.
        pieces: what was said.
        drop: first and last part whose place it takes; None for none.
        tenant: whose attempt it is.
    """

    token: tuple[str, int, int]
    shard: int
    attempt: int
    part: int
    pieces: tuple[Piece, ...]
    drop: tuple[int, int] | None = None
    tenant: str = ""

    @property
    def lines(self) -> int:
        """How many lines it holds."""
        return sum(piece.lines for piece in self.pieces)

    @property
    def bytes(self) -> int:
        """How many bytes were said in them."""
        return sum(len(piece.data) for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes that count against the limit."""
        return sum(piece.size for piece in self.pieces) + _CHUNK_COST

    def entries(self, now: float) -> str:
        """Return its pieces as JSON, their times as microseconds before ``now``."""
        return json.dumps([piece.entry(now) for piece in self.pieces], separators=(",", ":"))
