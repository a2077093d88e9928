"""Every error that Tributary raises on purpose, as one tree.

    TributaryError
    ├─ ConfigError             a setting is missing or malformed                       exit 2
    │  └─ SecretMissing        a worker has no secret of that name                     exit 2
    ├─ InvalidInput            inputs, a payload or an option were refused             exit 3
    │  ├─ InvalidWorkflow      a workflow file or builder was refused, with positions  exit 3
    │  ├─ KeyConflict          a known idempotency key under another name              exit 3
    │  └─ PreconditionFailed   what a workflow demands of a run does not hold          exit 3
    ├─ NotFound                no run, intent, step, queue … of that name              exit 4
    ├─ AmbiguousId             part of an id fits several                              exit 2
    ├─ WaitTimeout             it has not ended yet                                    exit 5
    ├─ WorkFailed              work that was run inline did not complete               exit 1
    │  └─ StepFailed           a step that a workflow function has asked for failed    exit 1
    │     └─ WaitOver          … because nothing came in time                          exit 1
    ├─ NonDeterminism          a workflow function does not do what its history says   exit 1
    ├─ NotPossible             the present state does not allow the request            exit 8
    ├─ DatabaseError           anything the database is to blame for                   exit 7
    │  ├─ DatabaseUnreachable  no server, login refused, database missing
    │  ├─ SchemaError          schema missing, too old, too new, or migration failed
    │  └─ EmbeddedError        the embedded server could not be found or started
    ├─ HandlerError            a handler is declared wrongly or cannot be loaded       exit 2
    ├─ EncryptionError         an encrypted value cannot be read                       exit 8
    │  ├─ KeyMissing           the key is not at hand
    │  └─ NotAuthentic         it was changed, or stands in another place
    └─ CodecError              a value cannot be stored as JSON                        exit 3

What a handler raises to steer its own step (Abort, Snooze, RetryAfter) and what is raised into a
handler (HandlerTimeout, StepCancelled, LeaseLost) are in this module too, outside that tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


class TributaryError(Exception):
    """Base of every error above.

    Args:
        message: one sentence for the person who made the request.
        hint: what to do next; printed on a line of its own.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(TributaryError):
    """A setting is missing or malformed; the message names the setting and where it came from."""

    exit_code = 2


class SecretMissing(ConfigError):  # noqa: N818 - named for what went wrong, as the CLI prints it
    """A worker has no secret of that name, or cannot read it; the message says where it looked."""


class InvalidInput(TributaryError):  # noqa: N818 - named for what went wrong, as the CLI prints it
    """Inputs, a payload or an option were refused; nothing was stored."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault (or warning) in a workflow file.

    Attributes:
        code: stable identifier, e.g. ``TRB104``.
        message: what is wrong, without position.
        file: name shown to the user, e.g. ``etl.yaml``; ``-`` for standard input.
        line: 1-based; None when the workflow did not come from text.
        column: 1-based.
        length: characters to underline, at least 1.
        hint: e.g. ``did you mean 'extract'? known: extract, transform``.
        severity: ``error`` or ``warning``.
        source_line: text of the line, for the excerpt under the message.
    """

    code: str
    message: str
    file: str = ""
    line: int | None = None
    column: int | None = None
    length: int = 1
    hint: str | None = None
    severity: str = "error"
    source_line: str | None = None

    def render(self) -> str:
        """Return ``file:line:col: message [CODE]`` followed by the source excerpt with carets."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part not in (None, ""))
        prefix = f"{place}: " if place else ""
        level = "warning: " if self.severity == "warning" else ""
        head = f"{prefix}{level}{self.message} [{self.code}]"
        if self.source_line is None or self.line is None or self.column is None:
            return f"{head}\n  {self.hint}" if self.hint else head
        gutter = " " * len(str(self.line))
        marks = "^" + "~" * (max(self.length, 1) - 1)
        below = f" {' ' * (self.column - 1)}{marks}" + (f" {self.hint}" if self.hint else "")
        return f"{head}\n{gutter} |\n{self.line} | {self.source_line}\n{gutter} |{below}"


class InvalidWorkflow(InvalidInput):
    """A workflow was refused; ``problems`` holds every fault of the file in order of position."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.render() for problem in self.problems))


class KeyConflict(InvalidInput):
    """The idempotency key is known, under another name."""


class PreconditionFailed(InvalidInput):
    """What a workflow demands before a run of it is recorded does not hold; nothing was stored."""


class NotFound(TributaryError):  # noqa: N818 - see InvalidInput
    """There is no such run, intent, step, queue or dead letter."""

    exit_code = 4


class AmbiguousId(TributaryError):  # noqa: N818 - see InvalidInput
    """Part of an id fits several runs or intents; the message lists the candidates."""

    exit_code = 2


class WaitTimeout(TributaryError):  # noqa: N818 - see InvalidInput
    """The work has not ended within the time given; it goes on."""

    exit_code = 5


class WorkFailed(TributaryError):  # noqa: N818 - named for what happened to the work
    """Work that was run inline did not complete: it failed, was discarded or cancelled."""

    exit_code = 1


class StepFailed(WorkFailed):
    """A step, a child or a wait that a workflow function has asked for did not complete.

    Args:
        step: its id in the run.
        type: class name of the error.
        message: of the error.
        reason: machine-readable: ``exhausted``, ``aborted``, ``rejected``, ``cancelled`` …; None for none.
    """

    def __init__(self, step: str, type: str, message: str, reason: str | None) -> None:  # noqa: A002 - as in records
        super().__init__(f"step {step}: {type}: {message}")
        self.step = step
        self.type = type
        self.reason = reason
        self.text = message


class WaitOver(StepFailed):
    """No signal, or no answer, came in time."""


class NonDeterminism(TributaryError):  # noqa: N818 - named for what went wrong, as the CLI prints it
    """The code of a workflow function does not do what the history of a run says that it did."""

    exit_code = 1


class NotPossible(TributaryError):  # noqa: N818 - see InvalidInput
    """The request makes no sense in the state that the work is in."""

    exit_code = 8


class DatabaseError(TributaryError):
    """The database refused, is missing, or cannot be used."""

    exit_code = 7


class DatabaseUnreachable(DatabaseError):  # noqa: N818 - see InvalidInput
    """No connection: server down, host wrong, login refused, or database missing."""


class SchemaError(DatabaseError):
    """The ``tributary`` schema is missing, too old, too new, or a migration failed."""


class EmbeddedError(DatabaseError):
    """The embedded PostgreSQL could not be found, initialised or started."""


class HandlerError(TributaryError):
    """A handler is declared wrongly, declared twice, or its module does not import."""

    exit_code = 2


class EncryptionError(TributaryError):
    """An encrypted value cannot be read; it is where it was, and nothing of it is lost."""

    exit_code = 8


class KeyMissing(EncryptionError):  # noqa: N818 - named for what went wrong, as the CLI prints it
    """A value is encrypted with a key that this process has not."""


class NotAuthentic(EncryptionError):  # noqa: N818 - see KeyMissing
    """An encrypted value was changed, or stands in another place than the one it was written for."""


class CodecError(InvalidInput):
    """A value cannot be stored as JSON (NUL, NaN, lone surrogate, too deep, too large, foreign type)."""


class Abort(Exception):  # noqa: N818 - part of the public face, named as handlers read it
    """Raised by a handler: this step shall not be tried again.

    Args:
        reason: recorded as the step's error.
        run: also cancel what runs in the same run and skip the rest of it.
    """

    def __init__(self, reason: str = "aborted by its handler", *, run: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.run = run


class Snooze(Exception):  # noqa: N818 - see Abort
    """Raised by a handler: try again after ``delay`` without counting an attempt.

    Args:
        delay: seconds, a timedelta, or a duration such as ``"5m"``.
    """

    def __init__(self, delay: float | str | timedelta) -> None:
        super().__init__(f"snoozed for {delay}")
        self.delay = delay


class RetryAfter(Exception):  # noqa: N818 - see Abort
    """Raised by a handler: this attempt failed; try the next one after ``delay`` instead of the policy's.

    Args:
        delay: seconds, a timedelta, or a duration such as ``"5m"``.
        reason: recorded as the attempt's error.
    """

    def __init__(
        self, delay: float | str | timedelta, reason: str = "retry requested by its handler"
    ) -> None:
        super().__init__(reason)
        self.delay = delay
        self.reason = reason


class HandlerTimeout(BaseException):  # must pass `except Exception` in user code
    """Raised inside a handler's thread when its attempt has exceeded its timeout."""


class StepCancelled(BaseException):  # must pass `except Exception` in user code
    """Raised inside a handler whose step was cancelled, or whose lease was lost."""


class LeaseLost(Exception):  # noqa: N818 - the word of the glossary
    """The token of this attempt no longer stands: another attempt, a cancel or a rescue came first."""


class ShellFailed(Exception):  # noqa: N818 - shown to users as the type of a failed `run` step
    """A shell step ended with an exit code other than 0.

    Args:
        message: what it last wrote to its error output.
        exit_code: 0..255, or minus the number of the signal that ended it.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ResourceFailed(Exception):  # noqa: N818 - shown to users as the type of the attempt's error
    """A resource that a handler asks for did not open; the cause is what its function raised.

    Args:
        resource: its name.
        why: in words.
    """

    def __init__(self, resource: str, why: str) -> None:
        super().__init__(f"resource {resource} did not open: {why}")
        self.resource = resource
        self.why = why
