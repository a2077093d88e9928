"""What a run of chaos says at its end: figures, and each violation with the history of its step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chaos.history import RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.checker import Violation
    from chaos.history import History, Key

_MOST = 20


def figures(history: History) -> str:
    """Return in some lines what came of everything."""
    states = Counter(row.state for row in history.rows if row.kind != "closing")
    outcomes = Counter(attempt.outcome for attempt in history.attempts)
    names = Counter(execution.name for execution in history.executions)
    accepted = {row.x for row in history.rows}
    in_vain = [e for e in history.executions if e.how == "returned" and e.x not in accepted]
    unended = [e for e in history.executions if e.how is None]
    fates = Counter(sent.fate for sent in history.submissions)
    return "\n".join(
        (
            f"submissions   {len(history.submissions)}: {_counts(fates)}",
            f"steps         {states.total()}: {_counts(states)}",
            f"executions    {len(history.executions)}: {_counts(names)}",
            f"in vain       {len(in_vain)} returned what was not accepted, {len(unended)} never ended",
            f"not well      {outcomes.total()} attempts: {_counts(outcomes)}",
            f"changes       {len(history.changes)}",
        )
    )


def _counts(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


def verdict(history: History, violations: Sequence[Violation]) -> str:
    """Return the violations, each with what is known of its step."""
    if not violations:
        return "no violations"
    rules = Counter(violation.rule for violation in violations)
    parts = [f"VIOLATIONS    {len(violations)}: {_counts(rules)}"]
    for violation in violations[:_MOST]:
        parts.append(f"\n[{violation.rule}] {violation.message}")
        if violation.key is not None:
            parts.append(story(history, violation.key))
    if len(violations) > _MOST:
        parts.append(f"\n… and {len(violations) - _MOST} more, in violations.txt")
    return "\n".join(parts)


def story(history: History, key: Key) -> str:
    """Return everything that is known of a step, or of a run."""
    run_id, ordinal = key
    lines = [f"  {run_id}/{ordinal}"]
    lines += [f"  {sent}" for sent in history.submissions if sent.id == run_id]
    lines += [f"  {act}" for act in history.acts if act.id == run_id]
    lines += [f"  {run}" for run in history.runs if run.run_id == run_id]
    lines += [
        f"  {row}" for row in history.rows if row.key == key or (ordinal == RUN and row.run_id == run_id)
    ]
    lines += [
        f"  change {change.number}: {change.before} -> {change.after}, attempt {change.attempt},"
        f" token {change.seq}, process {change.process_id}"
        for change in history.changes
        if change.key == key
    ]
    lines += [
        f"  execution {e.x}: attempt {e.attempt}, token {e.token}, pid {e.pid}, {e.begin:.3f} to"
        f" {'nowhere' if e.end is None else f'{e.end:.3f}'}, {e.how}"
        for e in history.executions
        if e.key == key
    ]
    lines += [f"  {attempt}" for attempt in history.attempts if (attempt.run_id, attempt.ordinal) == key]
    lines += [
        f"  event {event.type}, attempt {event.attempt}"
        for event in history.events
        if event.run_id == run_id and ordinal in (event.ordinal, RUN)
    ]
    return "\n".join(lines)
