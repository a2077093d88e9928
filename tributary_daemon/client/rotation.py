"""Rotation of keys: passes over all that is stored, until nothing is left that an old key has sealed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import ConfigError
from tributary_daemon.sealing.anew import Anew
from tributary_daemon.store import fleet, rotation
from tributary_daemon.store.rotation import SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Operation

_TARGET: Final = 0.05
_FEWEST, _MOST, _FIRST = 20, 2_000, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How far a rotation has come.

    Attributes:
        keys: ids of the keys that encrypt now.
        visited: rows in this pass.
        resealed: values that were encrypted anew.
        left: values of old keys that were in use in the last whole pass; None before that.
        missing: id of a key that is not at hand -> values that it has encrypted, in the last whole pass.
        broken: values that no key opens, in the last whole pass.
        table: at which it is.
        dry_run: ``resealed`` counts what would be.
        done: nothing of an old key that is at hand is left.
    """

    keys: tuple[str, ...]
    visited: int
    resealed: int
    left: int | None
    missing: Mapping[str, int]
    broken: int
    table: str | None
    dry_run: bool
    done: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as ``keys rotate`` prints it."""
        return {
            "keys": list(self.keys),
            "resealed": self.resealed,
            "left": self.left,
            "missing": dict(self.missing),
            "broken": self.broken,
            "dry_run": self.dry_run,
            "done": self.done,
        }


@dataclass(slots=True)
class Rotation:
    """A rotation under way; each `step` is a short transaction of its own, and may be done again.

    A value is replaced only where the old one still stands, so workers go on meanwhile. What they have in
    hand is left for another pass, since a process remembers where its rows lie.

    Args:
        ring: its first keys encrypt.
        dry_run: only count.
    """

    ring: Ring
    dry_run: bool
    ended: bool = False
    pause: float = 0.0
    _shards: int = 0
    _places: list[tuple[int, str]] = field(default_factory=list)
    _after: list[str] | None = None
    _size: float = _FIRST
    _visited: int = 0
    _resealed: int = 0
    _busy: int = 0
    _pass: Anew | None = None
    _last: Anew | None = None
    _left: int | None = None

    @classmethod
    def of(cls, ring: Ring | None, *, dry_run: bool) -> Rotation:
        """Begin one.

        Raises:
            ConfigError: there are no keys.
        """
        if ring is None:
            raise ConfigError(
                "no encryption keys are configured",
                hint="put the new key before the old one into TRIB_ENCRYPTION_KEYS: new:…,old:…",
            )
        return cls(ring, dry_run)

    def step(self) -> Operation[None]:
        """Look at one window of rows, and seal anew what an old key has sealed in it."""
        self.pause = 0.0
        if self._pass is None:
            if not self._shards:
                self._shards = (yield from fleet.clock()).shards
            self._begin()
        shard, source = self._places[0]
        assert self._pass is not None
        began = time.monotonic()
        limit = round(self._size)
        rows = yield from rotation.window(shard, source, self._after, limit, self._pattern())
        found: list[rotation.Anew] = []
        before = self._pass.changed
        for row in rows:
            if row.value is None:
                continue
            held = self._pass.changed
            old = json.loads(row.value)
            new = self._pass.value(old)
            if row.busy:
                self._busy += self._pass.changed - held
            elif new != old:
                found.append(rotation.Anew(row.at, old, new))
        fresh = self._pass.changed - before
        if found and not self.dry_run:
            written = yield from rotation.write(shard, source, found)
            # what stands there by now was written by somebody else: the next pass looks at it
            self._busy += len(found) - written
        self._resealed += fresh
        self._visited += len(rows)
        took = max(time.monotonic() - began, 1e-6)
        self._size = min(max(self._size * min(max(_TARGET / took, 0.25), 2.0), _FEWEST), _MOST)
        self._after = rows[-1].at if rows else self._after
        if len(rows) < limit:
            self._next()

    def so_far(self) -> Rotated:
        """Return how far it is."""
        last = self._last or Anew(self.ring)
        return Rotated(
            keys=tuple(key.id for key in self.ring.keys if self.ring.first(key)),
            visited=self._visited,
            resealed=self._resealed,
            left=self._left,
            missing=last.missing,
            broken=last.broken,
            table=self._places[0][1] if self._places else None,
            dry_run=self.dry_run,
            done=self.ended and not self.dry_run,
        )

    def _begin(self) -> None:
        self._places = [(shard, source) for source in SOURCES for shard in range(self._shards)]
        self._pass, self._busy, self._visited, self._after = Anew(self.ring), 0, 0, None

    def _next(self) -> None:
        """Go on with the next table; at the end of a pass begin another one, unless it found nothing."""
        del self._places[0]
        self._after = None
        if self._places:
            return
        assert self._pass is not None
        self._last, self._left = self._pass, self._busy
        self.ended = self.dry_run or self._pass.changed == 0
        # what is in use is free in a while
        self.pause = 0.0 if self.ended else 0.2
        self._pass = None

    def _pattern(self) -> str:
        """Return what finds the values that may have to be sealed anew."""
        if any(key.tenant is not None for key in self.ring.keys) or not self.ring.keys:
            return r"\$sealed(\": \"|\{)"
        firsts = "|".join(key.id for key in self.ring.keys if self.ring.first(key))
        return rf"\$sealed(\": \"|\{{)[12]\.(?!({firsts})\.)"
