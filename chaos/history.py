"""What a run of chaos leaves behind, as plain values: the checker reads nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

Key = tuple[str, int]
"""Run id and ordinal of a step; of an intent, its id and 0."""
RUN: int = -1
"""The ordinal under which changes of a run itself are noted."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a producer sent and what it knows of it.

    Attributes:
        number: in the plan.
        name: of the handler or the workflow.
        fate: ``acknowledged``: the database said that it is recorded. ``unknown``: no answer came.
            ``rolled_back``: recorded in a transaction that was rolled back.
        id: that came back; None without an answer.
        key: idempotency key; None without one.
    """

    number: int
    name: str
    fate: Literal["acknowledged", "unknown", "rolled_back"]
    id: str | None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator asked for: ``cancel``, ``pause``, ``resume`` or ``retry``.

    Attributes:
        id: of the run or intent.
        what: see above.
        fate: ``acknowledged``, ``refused`` (not possible in its state), or ``unknown``: no answer came.
    """

    id: str
    what: str
    fate: Literal["acknowledged", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Execution:
    """A handler's own note of one execution.

    Attributes:
        x: its name; a handler that returns puts it into its result.
        token: the ``seq`` of the lease it ran under.
        begin: monotonic seconds of the machine, not disturbed by jumps of the clock.
        end: the same; None when it noted no end.
        how: ``returned``, or the name of what it raised; None without an end.
        wall: what the clock of the worker said at the begin.
    """

    x: str
    run_id: str
    ordinal: int
    name: str
    attempt: int
    token: int
    pid: int
    begin: float
    wall: float = 0.0
    end: float | None = None
    how: str | None = None

    @property
    def key(self) -> Key:
        """The step."""
        return self.run_id, self.ordinal


@dataclass(frozen=True, slots=True)
class Row:
    """The final row of a step or intent; ``x`` is the execution that its result names."""

    run_id: str
    ordinal: int
    kind: str
    name: str
    state: str
    attempt: int
    max_attempts: int
    crashes: int
    seq: int
    step_id: str | None = None
    item_key: str | None = None
    queue: str = "default"
    reason: str | None = None
    x: str | None = None
    optional: bool = False
    idempotency_key: str | None = None
    claimed_at: float | None = None
    finished_at: float | None = None

    @property
    def key(self) -> Key:
        """The step."""
        return self.run_id, self.ordinal


@dataclass(frozen=True, slots=True)
class Run:
    """The final row of a run."""

    run_id: str
    name: str
    state: str
    remaining: int = 0
    idempotency_key: str | None = None
    parent_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state, noted by a trigger in the transaction that made it. ``ordinal`` -1: of a run."""

    number: int
    run_id: str
    ordinal: int
    before: str | None
    after: str
    attempt: int = 0
    seq: int = 0
    seq_before: int | None = None
    process_id: int | None = None

    @property
    def key(self) -> Key:
        """The step, or the run."""
        return self.run_id, self.ordinal


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of ``attempts``: one that did not end well."""

    run_id: str
    ordinal: int
    seq: int
    attempt: int
    outcome: str
    reason: str | None = None
    claimed_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """``child`` needs ``parent``."""

    run_id: str
    parent: int
    child: int


@dataclass(frozen=True, slots=True)
class Event:
    """A row of ``event_log``."""

    run_id: str
    ordinal: int | None
    attempt: int | None
    type: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter."""

    run_id: str
    ordinal: int
    reason: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What an execution wrote on the connection of its step."""

    run_id: str
    ordinal: int
    x: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that is taken, or waited for, after everything has ended."""

    what: str
    owner: str
    state: str


@dataclass(slots=True)
class History:
    """Everything that is known after a run of chaos.

    Attributes:
        limits: how many attempts of a queue may run at once.
        departures: of workers that ended although nobody had ended them.
    """

    submissions: list[Submission] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    departures: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it as JSON, one record per line."""
        with path.open("w", encoding="utf-8") as out:
            for kind in fields(self):
                held = getattr(self, kind.name)
                if kind.name in _RECORDS:
                    for record in held:
                        out.write(json.dumps({"list": kind.name, **asdict(record)}) + "\n")
                else:
                    out.write(json.dumps({"list": kind.name, "value": held}) + "\n")


def load(path: Path) -> History:
    """Read what `History.save` wrote."""
    history = History()
    for line in path.read_text(encoding="utf-8").splitlines():
        record: dict[str, Any] = json.loads(line)
        kind = record.pop("list")
        if kind in _RECORDS:
            getattr(history, kind).append(_RECORDS[kind](**record))
        else:
            setattr(history, kind, record["value"])
    return history


_RECORDS: dict[str, type[Any]] = {
    "submissions": Submission,
    "acts": Act,
    "executions": Execution,
    "rows": Row,
    "runs": Run,
    "changes": Change,
    "attempts": Attempt,
    "edges": Edge,
    "events": Event,
    "letters": Letter,
    "effects": Effect,
    "slots": Slot,
}
