"""Traces that no database could have given: each is a recorded one with one thing changed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model_check.recording import Recorder
    from tests.model_check.replay import Trace


def scripted(recorder: Recorder) -> Trace:
    """Record a history of the fan-in with everything in it that a damage needs."""
    recorder.claim(0, 2)  # 1 both parents
    recorder.fall_silent(0)  # 2
    recorder.rescue()  # 3 takes both
    recorder.claim(1, 1)  # 4 one of them again
    (mine,) = recorder.held[1]
    stale = (mine[0], 0)
    recorder.finish(0, [(*stale, "completed", False)])  # 5 is refused
    recorder.finish(1, [(*mine, "completed", False)])  # 6
    recorder.finish(1, [(*mine, "completed", False)])  # 7 the answer was lost; is refused
    recorder.claim(2, 3)  # 8 the other parent
    (other,) = recorder.held[2]
    recorder.finish(2, [(*other, "discarded", False)])  # 9 skips the child, ends the run
    recorder.retry(None)  # 10
    recorder.claim(1, 1)  # 11
    return recorder.trace


def _step(trace: Trace, at: int, step: int, *, onward: bool = False, **fields) -> Trace:
    """Change the row of a step at one entry, or from there on."""
    entries = list(trace.entries)
    for number in range(at, len(entries) if onward else at + 1):
        tables = entries[number].tables
        rows = list(tables.steps)
        rows[step] = rows[step]._replace(**fields)
        entries[number] = entries[number]._replace(tables=tables._replace(steps=tuple(rows)))
    return trace._replace(entries=tuple(entries))


def _entry(trace: Trace, at: int, **fields) -> Trace:
    entries = list(trace.entries)
    entries[at] = entries[at]._replace(**fields)
    return trace._replace(entries=tuple(entries))


def _run(trace: Trace, at: int, **fields) -> Trace:
    tables = trace.entries[at].tables
    return _entry(trace, at, tables=tables._replace(run=tables.run._replace(**fields)))


def _without(trace: Trace, at: int) -> Trace:
    return trace._replace(entries=(*trace.entries[:at], *trace.entries[at + 1 :]))


def _swapped(trace: Trace, at: int) -> Trace:
    entries = list(trace.entries)
    entries[at], entries[at + 1] = entries[at + 1], entries[at]
    return trace._replace(entries=tuple(entries))


def _first(trace: Trace) -> int:
    """Return the parent that was finished first."""
    return trace.entries[4].answer[0][0]


def _claimed_again(trace: Trace) -> Trace:
    """Let a second process claim what runs."""
    step, token, attempt, most, lone = trace.entries[4].answer[0]
    return _entry(trace, 8, answer=((step, token, attempt + 1, most, lone),))


DAMAGES: dict[str, Callable[[Trace], Trace]] = {
    "a stale finish is said to be accepted": lambda trace: _entry(trace, 5, answer=()),
    "a stale finish completes the step": lambda trace: _step(
        trace, 5, _first(trace), state="completed", process=None
    ),
    "a finish told again is accepted": lambda trace: _entry(trace, 7, answer=()),
    "the child's counter goes down twice": lambda trace: _step(trace, 7, 2, unmet=0),
    "the child starts early": lambda trace: _step(trace, 6, 2, state="available"),
    "the run's counter goes down twice": lambda trace: _run(trace, 6, remaining=1),
    "a rescue counts no crash": lambda trace: _step(trace, 3, 0, crashes=0),
    "a rescue gives the attempt back": lambda trace: _step(trace, 3, 1, attempt=0),
    "a rescue keeps the token": lambda trace: _step(trace, 3, 0, onward=True, token=0),
    "a rescue tells another number": lambda trace: _entry(trace, 3, answer=1),
    "what runs is claimed again": _claimed_again,
    "a claim leaves out what is available": lambda trace: _entry(
        trace, 1, answer=trace.entries[1].answer[:1]
    ),
    "a finished step changes": lambda trace: _step(trace, 8, _first(trace), state="discarded"),
    "a finished step is lost by a retry": lambda trace: _step(trace, 10, _first(trace), state="available"),
    "the child of a failed step waits for ever": lambda trace: _step(trace, 9, 2, state="blocked", unmet=0),
    "a failed step has no dead letter": lambda trace: _entry(trace, 9, dead=frozenset()),
    "the run fails without a failure": lambda trace: _run(trace, 9, failed=0),
    "a retry does not begin to count anew": lambda trace: _step(trace, 10, 1 - _first(trace), base=0),
    "the rescue is missing": lambda trace: _without(trace, 3),
    "the retry is missing": lambda trace: _without(trace, 10),
    "a rescue comes before the silence": lambda trace: _swapped(trace, 2),
    "a silent process beats": lambda trace: _entry(
        trace, 2, tables=trace.entries[2].tables._replace(fresh=(True, True, True))
    ),
}
