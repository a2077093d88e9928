"""Answers of the Migrator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

Direction = Literal["up", "down"]
State = Literal["applied", "pending", "failed", "interrupted", "missing"]
Verdict = Literal["missing", "older", "unfinished", "ok", "newer_ok", "too_new"]


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that was executed.

    Attributes:
        name: e.g. ``20261121000001_runs``.
        seconds: how long it took; 0 in a dry run.
    """

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """What an up or down has done.

    Attributes:
        direction: ``up`` or ``down``.
        steps: the migrations executed, in this order.
        group: number of the group made (up) or rolled back last (down); None if nothing was to do.
        functions: whether the protocol functions were applied again.
        dry_run: nothing was changed, the SQL was printed.
        notes: what the reader should know besides, one sentence each.
    """

    direction: Direction
    steps: tuple[Step, ...] = ()
    group: int | None = None
    functions: bool = False
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the executed migrations."""
        return tuple(step.name for step in self.steps)


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One line of ``trib migrate status``.

    Attributes:
        name: file name without suffix.
        state: ``applied``; ``pending``; ``failed`` with its error; ``interrupted`` (a migration outside a
            transaction whose process died); ``missing`` (applied, its file is gone).
        group: of the applied; those applied together share it.
        applied_at: UTC; for failed and interrupted ones, when that happened.
        error: of the failed.
        changed: the file is no longer what was applied.
    """

    name: str
    state: State
    group: int | None = None
    applied_at: datetime | None = None
    error: str | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """How the database's schema relates to this code.

    Attributes:
        verdict: ``missing``; ``older`` (needs ``trib migrate up``); ``unfinished`` (migrated, but
            its functions are not in place yet: `up` is at work, or broke off); ``ok``; ``newer_ok`` (migrated
            by a newer release that still speaks our protocol); ``too_new`` (it no longer does).
        version: newest applied migration's name; empty when missing.
        expected: newest migration this code carries.
        min_protocol: oldest protocol the schema accepts.
        functions_current: the functions in the database are those of this code.
    """

    verdict: Verdict
    version: str = ""
    expected: str = ""
    min_protocol: int = 1
    functions_current: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the bookkeeping table."""

    name: str
    group: int
    state: State
    checksum: str
    error: str | None = None
    at: datetime | None = field(default=None, compare=False)
