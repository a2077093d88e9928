"""What a client does beside submitting and reading: steer, repeat, look up; all sans-I/O operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from tributary_daemon import codec
from tributary_daemon.client import options, reading
from tributary_daemon.client import why as reasons
from tributary_daemon.client.options import queue_name
from tributary_daemon.client.reading import get, missing, resolve_id
from tributary_daemon.client.records import LimitsDocument
from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.inputs import check_answer
from tributary_daemon.spec.workflow import InputSpec
from tributary_daemon.store import control, fleet, runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tributary_daemon.client.documents import Document
    from tributary_daemon.client.items import ItemDocument
    from tributary_daemon.client.options import RunAfter
    from tributary_daemon.client.reasons import Why
    from tributary_daemon.store.db import Operation

ENDED: Final = frozenset({"completed", "failed", "cancelled", "skipped", "discarded"})


def document(text: str) -> Operation[Document]:
    """Read a run or an intent by its id, part of it, or ``@latest``."""
    return (yield from get((yield from resolve_id(text))))


def ended(work_id: str) -> Operation[bool]:
    """Return whether a run or an intent has ended.

    Raises:
        NotFound: there is neither.
    """
    state = yield from runs.state(work_id)
    if state is None:
        raise missing(work_id)
    return state.state in ENDED


def cancel(text: str, reason: str | None) -> Operation[str]:
    """Cancel a run or an intent; return the state it was in."""
    return (yield from control.cancel((yield from resolve_id(text)), reason))


def retry_only(text: str, only: str | Sequence[str]) -> Operation[str]:
    """Run steps or items of ended work once more; return the new state."""
    steps = [only] if isinstance(only, str) else only
    return (yield from control.retry_only((yield from resolve_id(text)), steps))


def retry_preview(
    text: str, from_step: str | Sequence[str] | None, only: str | Sequence[str] | None
) -> Operation[list[control.Again]]:
    """Read what a retry would run again."""
    steps = [from_step] if isinstance(from_step, str) else from_step
    named = [only] if isinstance(only, str) else only
    return (yield from control.retry_preview((yield from resolve_id(text)), steps, named))


def pause_run(text: str) -> Operation[str]:
    """Pause a run; return the state it was in."""
    return (yield from control.pause((yield from resolve_id(text))))


def resume_run(text: str) -> Operation[str]:
    """Let a paused run go on; return the state it was in."""
    return (yield from control.resume((yield from resolve_id(text))))


def signal(text: str, name: str, payload: Any, key: str | None, sender: str | None) -> Operation[int]:
    """Send a signal to a run; return its number in the run."""
    told = codec.dumps(payload, what="the payload of a signal")
    return (yield from control.signal((yield from resolve_id(text)), name, told, key, sender))


def signal_taken(text: str, number: int) -> Operation[bool]:
    """Return whether a step has taken a signal."""
    return (yield from control.sent((yield from resolve_id(text)), number))


def approve(text: str, step: str, answer: Mapping[str, Any] | None, sender: str | None) -> Operation[str]:
    """Approve what a step asks for; return the step's state.

    Raises:
        InvalidInput: the form refuses the answer; it names every fault.
    """
    work_id = yield from resolve_id(text)
    form = yield from control.asked(work_id, step)
    given = None
    if form is not None:
        declared = {name: InputSpec.from_json(dict(spec)) for name, spec in form.items()}
        given = codec.dumps(check_answer(declared, answer or {}), what="the answer")
    return (yield from control.approve(work_id, step, given, sender))


def reject(text: str, step: str, reason: str | None, sender: str | None) -> Operation[str]:
    """Reject what a step asks for; return the step's state."""
    return (yield from control.reject((yield from resolve_id(text)), step, reason, sender))


def items(text: str, step: str) -> Operation[list[ItemDocument]]:
    """Read the items of a fan-out."""
    return (yield from reading.items((yield from resolve_id(text)), step))


def retry(text: str, from_step: str | Sequence[str] | None) -> Operation[str]:
    """Put ended work back to work; return the new state."""
    steps = [from_step] if isinstance(from_step, str) else from_step
    return (yield from control.retry((yield from resolve_id(text)), steps))


def change(
    text: str,
    step: str | None,
    *,
    priority: int | None,
    queue: str | None,
    run_after: RunAfter | None,
    payload: Any,
) -> Operation[str]:
    """Change work that waits; return its state.

    Raises:
        InvalidInput: a value is refused, or nothing is to be changed.
    """
    at, delay = options.due(run_after)
    return (
        yield from control.change(
            (yield from resolve_id(text)),
            priority=None if priority is None else options.checked_priority(priority),
            queue=None if queue is None else queue_name(queue),
            run_at=at,
            delay=delay,
            payload=None if payload is None else codec.dumps(payload),
            step=step,
        )
    )


def why(text: str, step: str | None) -> Operation[Why]:
    """Say why work is in its state."""
    return (yield from reasons.why((yield from resolve_id(text)), step))


def pause_queue(name: str) -> Operation[datetime]:
    """Stop claims from a queue; return since when it is paused.

    Raises:
        InvalidInput: no queue can have this name.
    """
    return (yield from fleet.pause(queue_name(name)))


def at_once(concurrency: int | Literal["none"] | None) -> int | None:
    """Return a number of attempts at once as SQL takes it: 0 for no limit, None for what is to stay.

    Raises:
        InvalidInput: it is no such number.
    """
    if concurrency is None:
        return None
    if concurrency == "none":
        return 0
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency < 1 << 31:
        raise InvalidInput(
            f"{concurrency!r} is not a number of attempts at once", hint="1 or more, or none for no limit"
        )
    return concurrency


def set_queue(
    name: str, concurrency: int | Literal["none"] | None, rate: str | None
) -> Operation[LimitsDocument]:
    """Limit a queue over all workers; return its limits as they are then.

    Raises:
        InvalidInput: no queue can have this name, or there is no such limit.
    """
    held, started = yield from fleet.limit(queue_name(name), at_once(concurrency), rate)
    return LimitsDocument(name=name, concurrency=held, rate=started)
