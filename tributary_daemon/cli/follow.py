"""Following work to its end: what is shown on the way, and the exit code it ends with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TextIO

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Line, Span, line, plain
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.output import document, dump
from tributary_daemon.errors import WaitTimeout

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from tributary_daemon.client.reader import Reader

CODES: Final = {
    "completed": failures.COMPLETED,
    "failed": failures.FAILED,
    "discarded": failures.FAILED,
    "cancelled": failures.CANCELLED,
}


def exit_code(state: str) -> int:
    """Return the exit code for a state; 5 while it has not ended."""
    return CODES.get(state, failures.NOT_ENDED)


class Progress(Protocol):
    """Shows how work goes on; a context, so that a terminal is left in order."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def seen(self, document: dict[str, Any]) -> None:
        """Take the newest status document."""


class Quiet:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def seen(self, document: dict[str, Any]) -> None:
        """Take no notice."""


class ChangeLines(Quiet):
    """Writes a line whenever the work or one of its steps changes: for pipes and log files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._before: dict[str, Any] = {}

    def seen(self, document: dict[str, Any]) -> None:
        """Write what changed since the last document."""
        for change in changes(self._before, document):
            self._stream.write(looks.visible(plain(change)) + "\n")
        self._stream.flush()
        self._before = document


class DocumentLines(Quiet):
    """Writes the whole document as one line of JSON whenever it changed: ``watch -o jsonl``."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._before: dict[str, Any] = {}

    def seen(self, document: dict[str, Any]) -> None:
        """Write the document unless it is the last one again."""
        if document != self._before and document["state"] not in CODES:
            self._stream.write(dump(document) + "\n")
            self._stream.flush()
        self._before = document


def progress(output: str, *, verbose: bool) -> Progress:
    """Return what suits the streams of this process.

    A terminal gets a live tree; other streams get a line per change, when ``verbose``. For ``table`` it
    stands on stdout, before the end; otherwise on stderr, as stdout is for the data.
    """
    stream = progress_stream(output)
    if output == "jsonl" and verbose:
        return DocumentLines(sys.stdout)
    if stream.isatty():
        shown: Progress = late("live:LiveTree")(stream)
        return shown
    return ChangeLines(stream) if verbose else Quiet()


def progress_stream(output: str) -> TextIO:
    """Return where progress goes: stdout is for the data, unless people read it."""
    return sys.stdout if output == "table" else sys.stderr


class Followed(NamedTuple):
    """How following ended.

    Attributes:
        document: the last status document.
        code: exit code.
    """

    document: dict[str, Any]
    code: int


def follow(client: Reader, identifier: str, shown: Progress, *, timeout: float | None = None) -> Followed:
    """Wait for the end of a run or an intent, showing how it goes.

    Args:
        client: open.
        identifier: full id.
        shown: takes every document on the way.
        timeout: seconds; None to wait for ever.

    Returns:
        The last document with its exit code; 5 when the time was over first, 130 after Ctrl-C.
    """
    last: dict[str, Any] = {}

    def seen(news: Any) -> None:
        last.update(document(news))
        shown.seen(dict(last))

    try:
        with shown:
            ended: dict[str, Any] = document(client.wait(identifier, timeout=timeout, seen=seen))
            shown.seen(ended)
    except WaitTimeout as error:
        failures.say_error(error.message, f"it goes on; `trib watch {identifier}` follows it")
        return Followed(last or document(client.get(identifier)), failures.NOT_ENDED)
    return Followed(ended, exit_code(ended["state"]))


def detached(identifier: str) -> int:
    """Say that the work goes on after Ctrl-C, and return exit code 130."""
    failures.say(f"\ndetached; the work goes on, `trib watch {identifier}` follows it")
    return failures.INTERRUPTED


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Line]:
    """Return a line for everything that is in another state, or another attempt, than before.

    Args:
        before: the last status document, empty at first.
        after: the newest one.
    """
    now = looks.now()
    lines: list[Line] = []
    known = before.get("steps") or {}
    for step_id, step in (after.get("steps") or {}).items():
        old = known.get(step_id, {"state": "blocked", "attempt": 0})
        if (old["state"], old["attempt"]) != (step["state"], step["attempt"]):
            lines.append(_change(step_id, step, now))
    same = before and (before["state"], before.get("attempt")) == (after["state"], after.get("attempt"))
    if not same:
        place = len(lines) if after["state"] in looks.ENDED else 0
        lines.insert(place, _change(f"{after['name']} {after['id'][-8:]}", after, now))
    return lines


def _change(name: str, thing: dict[str, Any], now: datetime) -> Line:
    state = thing["state"]
    parts: list[Span | str] = [f"{now:%H:%M:%S}Z  {state:<9}  ", Span(name, "name")]
    took = looks.took(thing.get("started_at"), thing.get("finished_at"), now)
    if thing.get("finished_at") and took:
        parts.append(f"  {took}")
    attempt = thing.get("attempt") or 0
    if attempt > 1:
        parts.append(f"  attempt {attempt}")
    if state != "completed":
        reason, fault = thing.get("reason"), looks.fault(thing.get("error"), 200)
        parts += [f"  ({reason})"] if reason and reason not in fault else []
        parts += [f"  {fault}"] if fault else []
    return line(*parts)
