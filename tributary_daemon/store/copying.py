"""Many intents of one name as the text of two COPYs, made while the server stores what came before.

The lines are written here, not by psycopg: adapting fourteen values costs more than storing the row.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model import ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tributary_daemon.store.submit import Prepared

COPY_STEPS: Final = (
    "COPY tributary.steps (run_id, seq, shard, created_at, run_at, ordinal, kind, state, priority,"
    " max_attempts, tenant_id, name, queue, reason, payload) FROM STDIN"
)
COPY_PAYLOADS: Final = "COPY tributary.payloads (run_id, shard, ordinal, payload, options) FROM STDIN"

_HOME: Final = 64
_BLOCK: Final = 64 * 1024
_SPECIAL: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


class Batch:
    """The rows of many intents, for one COPY after the other: first the steps, then the payloads.

    Small payloads lie in the steps themselves, as `payload_at_home` has it; measured is their text here.

    Args:
        name: of the intents.
        prepared: what holds for all of them.
        payloads: JSON texts.
        made: their ids, where they are sealed for them.

    Attributes:
        ids: of the intents in the order of their payloads; complete when `steps` is read to its end.
        away: whether there is anything for the second COPY.
    """

    def __init__(
        self, name: str, prepared: Prepared, payloads: Sequence[str], made: Sequence[str] | None = None
    ) -> None:
        self._made = made
        self.ids: list[str] = []
        self._name = name
        self._prepared = prepared
        self._payloads = payloads
        # the longest text that lies in its step; -1 is none
        self._home = _HOME if prepared.options is None and prepared.reason is None else -1
        self.away = any(len(payload) > self._home for payload in payloads)

    def steps(self) -> Iterator[str]:
        """Yield the rows of `COPY_STEPS` in blocks."""
        return _blocks(self._step_lines())

    def payloads(self) -> Iterator[str]:
        """Yield the rows of `COPY_PAYLOADS` in blocks."""
        return _blocks(self._payload_lines())

    def _step_lines(self) -> Iterator[str]:
        given = self._prepared
        shards = given.shards
        same = _fields(
            given.now, given.run_at, 0, "intent", given.state, given.priority, given.max_attempts,
            given.tenant, self._name, given.queue, given.reason,
        )  # fmt: skip
        made = ids.new_ids(len(self._payloads)) if self._made is None else self._made
        seqs = enumerate(made, given.first_seq)
        for (seq, new), payload in zip(seqs, self._payloads, strict=True):
            self.ids.append(new)
            text = _escaped(payload) if len(payload) <= self._home else r"\N"
            yield f"{new}\t{seq}\t{ids.slot_of(new) % shards}\t{same}\t{text}\n"

    def _payload_lines(self) -> Iterator[str]:
        shards = self._prepared.shards
        options = self._prepared.options
        same = _fields(None if options is None else json.dumps(options))
        for new, payload in zip(self.ids, self._payloads, strict=True):
            if len(payload) > self._home:
                yield f"{new}\t{ids.slot_of(new) % shards}\t0\t{_escaped(payload)}\t{same}\n"


def _escaped(payload: str) -> str:
    # of what COPY would take for its own, JSON holds the backslash only
    return payload.replace("\\", r"\\")


def _fields(*values: Any) -> str:
    return "\t".join(r"\N" if value is None else str(value).translate(_SPECIAL) for value in values)


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    waiting: list[str] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= _BLOCK:
            yield "".join(waiting)
            waiting.clear()
            size = 0
    yield "".join(waiting)
