"""What becomes of the attempts of a process that has ended: who is to blame, who is only given back."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.endings import Exit, how
from tributary_daemon.engine.failures import timeout_record
from tributary_daemon.model.outcome import ErrorRecord
from tributary_daemon.store import membership
from tributary_daemon.store.finishes import Ended
from tributary_daemon.store.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tributary_daemon.daemon.board import Entry
    from tributary_daemon.store.db import Connection

KILLED: Final = -9


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process, and what its board showed then.

    Attributes:
        label: name of the process.
        pid: of the operating system.
        process_id: its row; 0 if it had none yet.
        code: exit code, minus the number of a signal.
        planned: it ended as it was meant to: drained, retired, fenced, orphaned, or killed by a drain.
        entries: what ran in it, and what had run last.
        why: why its supervisor killed it; None when it ended by itself.
    """

    label: str
    pid: int
    process_id: int
    code: int
    planned: bool
    entries: tuple[Entry, ...]
    why: str | None = None

    @property
    def wanted(self) -> bool:
        """Whether it ended because its worker wanted that."""
        return self.planned and self.why is None and self.code in (Exit.DRAINED, Exit.RETIRED)

    @property
    def broken(self) -> bool:
        """Whether a handler has closed its file descriptors; that one may have ended since."""
        return self.planned and self.code == Exit.BROKEN

    def outcomes(self) -> list[tuple[int, Ended]]:
        """Return shard and outcome of those attempts that are not simply given back.

        Suspects of a crash are the attempts whose code ran. Where none did, those that ended last and are
        not written yet may have left something behind: their attempt is counted.
        """
        found = [(entry.shard, self._timed_out(entry)) for entry in self.entries if _is_late(entry)]
        if self.planned and not self.broken:
            return found
        # isolated attempts ran in processes of their own, and are no suspects; that they ended with this one
        # counts all the same, or one that kills it would run again for ever
        found += [
            (entry.shard, self._crashed(entry, "crashed", 0))
            for entry in self.entries
            if entry.isolated and entry.running and not _is_late(entry)
        ]
        near = [entry for entry in self.entries if not entry.isolated and not _is_late(entry)]
        running = [entry for entry in near if entry.running]
        ended = [entry for entry in near if not entry.running]
        if self.broken:
            running, ended = near, []
        found += [(entry.shard, self._crashed(entry, "suspected", len(running) - 1)) for entry in running]
        if not running:
            found += [(entry.shard, self._crashed(entry, "crashed", 0)) for entry in ended]
        return found

    def tell(self) -> None:
        """Say of the attempts that timed out that they did: their own process could not."""
        for entry in filter(_is_late, self.entries):
            record = _timeout(entry)
            events.emit(
                events.StepFailed(
                    run_id=entry.token[0],
                    step=entry.name,
                    name=entry.name,
                    attempt=entry.attempt,
                    type=record.type,
                    message=record.message,
                    reason=record.reason,
                    delay=None,
                    traceback=None,
                )
            )

    def _timed_out(self, entry: Entry) -> Ended:
        return _ended(entry, "discarded" if entry.final else "retry", _timeout(entry))

    def _crashed(self, entry: Entry, outcome: str, beside: int) -> Ended:
        message = f"its process {self._how()}"
        if beside:
            message += f"; {beside} other{'s' if beside > 1 else ''} ran beside it, so each runs alone next"
        return _ended(
            entry, outcome, ErrorRecord("ProcessDied", message, entry.attempt, "crashed", self.code)
        )

    def _how(self) -> str:
        if self.why is not None:
            return f"was killed: {self.why}"
        if self.broken:
            return "could not go on: a handler closed its file descriptors"
        return f"ended with {how(self.code)}"


def _timeout(entry: Entry) -> ErrorRecord:
    return timeout_record(entry.allowed, entry.attempt, silent=entry.silent)


def _is_late(entry: Entry) -> bool:
    return entry.running and entry.timed_out


def _ended(entry: Entry, outcome: str, record: ErrorRecord) -> Ended:
    # only intents have ordinal 0, and no run to be locked
    error = json.dumps(record.to_json())
    return Ended(*entry.token, "", outcome, None, error, None, entry.elapsed, entry.token[1] > 0)


def end_groups(entries: Iterable[Entry]) -> None:
    """Kill the process groups that running attempts had: shell steps, isolated processes."""
    for entry in entries:
        if entry.running and entry.group > 0:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(entry.group, signal.SIGKILL)


def settle(connection: Connection, death: Death, shards: int) -> None:
    """Write down what the end of a process means for all that it held, then forget it.

    What timed out failed, suspects of a crash count an attempt, all else is released uncounted.

    Args:
        connection: in autocommit mode.
        death: of the process.
        shards: number of shards.
    """
    if death.process_id:
        leases = Leases(connection, death.process_id, [], [])
        outcomes = death.outcomes()
        for shard in sorted({shard for shard, _ in outcomes}):
            leases.exchange(shard, [ended for at, ended in outcomes if at == shard], [])
        forget(connection, death, shards)


def forget(connection: Connection, death: Death, shards: int) -> None:
    """Give back uncounted all that a process held, and forget it."""
    if death.process_id:
        release(connection, [death.process_id], shards)
        membership.leave(connection, None, [death.process_id])


def release(connection: Connection, process_ids: Sequence[int], shards: int) -> None:
    """Release all that these processes own, uncounted."""
    for process_id in process_ids:
        for shard in range(shards):
            Leases(connection, process_id, [], []).reconcile(shard, [])
