"""The hook ``audit``: who submitted and ran what, when, and what became of it, in a table or in a file."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.config import values
from tributary_daemon.engine.failures import clean, type_name
from tributary_daemon.engine.hooking import tell
from tributary_daemon.errors import DatabaseError, LeaseLost, Snooze, StepCancelled
from tributary_daemon.handlers.hooks import Hook
from tributary_daemon.hooks.options import option
from tributary_daemon.model.masking import BOUND
from tributary_daemon.store import audits
from tributary_daemon.store.side import Side

if TYPE_CHECKING:
    from pathlib import Path

    from tributary_daemon.handlers.hooks import Host, Recorded, Work
    from tributary_daemon.handlers.step import Step
    from tributary_daemon.store.audits import Action

_ERROR_BYTES: Final = 1_000


class Audit(Hook):
    """Takes note of each submit and each end of an attempt; listed first it sees what other hooks refuse.

    Args:
        payloads: what is kept of payloads and results: ``hash`` (SHA-256), ``full``, or ``none``. Secrets
            that a step names are masked before.
        file: append lines of JSON to this file instead of rows to the table ``audit_log``.
        keep: how long rows are kept, with its unit (``365d``), or ``forever``. A file is yours to rotate.
        required: an attempt whose line cannot be written fails; otherwise that is told as an event. What was
            submitted stays submitted in any case.

    Raises:
        ConfigError: an option does not fit.
    """

    blocking = True

    def __init__(
        self,
        *,
        payloads: str = "hash",
        file: str | Path | None = None,
        keep: str = "forever",
        required: bool = False,
    ) -> None:
        self._payloads = option("payloads", payloads, values.choice("hash", "full", "none"))
        self._file = None if file is None else option("file", file, values.path).absolute()
        self._keep = option("keep", keep, values.retention)
        self._required = option("required", required, values.flag)
        self._side: Side | None = None
        self._place = ""

    def open(self, host: Host) -> None:
        """Find the database, and who this is."""
        self._side = Side(host.url)
        self._place = f"{_user()}@{socket.gethostname()}" if host.place == "client" else host.label

    def close(self) -> None:
        """Close the connections."""
        if self._side is not None:
            self._side.close()

    def after_submit(self, work: Work, receipt: Recorded) -> None:
        """Take note of a run or an intent; its steps come with it."""
        if work.kind == "step":
            return
        action: Action = "submitting" if work.borrowed else "submitted"
        kept, digest = self._seen(work.payload)
        self._write(
            audits.Note(
                receipt.id, work.tenant, action if receipt.created else "known", work.name, None, None,
                self._place, payload_hash=digest, payload=kept,
            )
        )  # fmt: skip

    def after_work(self, step: Step, payload: Any, result: Any, error: BaseException | None) -> None:
        """Take note of how an attempt has ended."""
        kept, digest = self._seen(payload)
        note = audits.Note(
            step.run_id, step.tenant, _action(error), step.name, None if step.id == step.run_id else step.id,
            step.attempt, self._place, payload_hash=digest, payload=kept,
        )  # fmt: skip
        if error is None:
            made, result_digest = self._seen(result)
            note = note._replace(result=made, result_hash=result_digest)
        else:
            note = note._replace(error=_words(error))
        try:
            self._write(note)
        except (DatabaseError, OSError) as fault:
            if self._required:
                raise
            tell(self, "after_work", step.name, fault)

    def _seen(self, value: Any) -> tuple[str | None, bytes | None]:
        if self._payloads == "none":
            return None, None
        mask = BOUND.get()
        shown = value if mask is None else mask.value(value)
        text = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text if self._payloads == "full" else None, hashlib.sha256(text.encode()).digest()

    def _write(self, note: audits.Note) -> None:
        if self._file is not None:
            _append(self._file, note)
        elif self._side is not None:
            self._side.run(lambda: audits.record(note, self._keep))


def _append(file: Path, note: audits.Note) -> None:
    line: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="microseconds")}
    for name, value in note._asdict().items():
        if isinstance(value, bytes):
            line[name] = value.hex()
        elif name in ("payload", "result") and value is not None:
            line[name] = json.loads(value)
        elif value is not None:
            line[name] = value
    data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
    # one write, so that lines of several processes do not mix
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        written = os.write(descriptor, data)
    finally:
        os.close(descriptor)
    if written < len(data):
        raise OSError(f"only {written} of {len(data)} bytes were written to {file}")


def _action(error: BaseException | None) -> Action:
    if error is None:
        return "completed"
    if isinstance(error, Snooze):
        return "put_off"
    return "cancelled" if isinstance(error, StepCancelled | LeaseLost) else "failed"


def _words(error: BaseException) -> str:
    try:
        text = f"{type_name(type(error))}: {error}"
    except Exception:  # noqa: BLE001 - user code
        text = type_name(type(error))
    mask = BOUND.get()
    return clean(text if mask is None else mask.text(text), _ERROR_BYTES)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a user id without a name
        return str(os.getuid())
