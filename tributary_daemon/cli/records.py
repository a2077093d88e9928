"""Status documents as blocks: the head, the step tree of a run, the attempts of an intent, how it ended."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any

from tributary_daemon.cli import looks, tree
from tributary_daemon.cli.blocks import Block, Line, Lines, Span, Table, line, pairs
from tributary_daemon.model.control import PRIVATE, UNDO_PREFIX, undone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_NEEDS_SHOWN = 3
_ERROR_WIDTH = 160
_PAYLOAD_WIDTH = 400
_RESULT_WIDTH = 72
_ITEM_WIDTH = 40
_REASONS_UNSAID = frozenset({"", "upstream", "condition", "items", "hook", "steps"})


def status(document: Mapping[str, Any], now: datetime, *, unicode: bool = True) -> list[Block]:
    """Return the whole status: head, steps or attempts, result or error.

    Args:
        document: a status document.
        now: the present time, for durations of what still runs.
        unicode: whether the stream can show box characters and glyphs.
    """
    blocks: list[Block] = [head(document, now)]
    if document["kind"] == "run":
        blocks.append(Lines(tuple(step_lines(document, now, unicode=unicode))))
    elif document.get("attempts"):
        blocks.append(_attempts(document, now))
    if document["state"] in looks.ENDED:
        blocks.append(Lines(tuple(ending(document))))
    return blocks


def head(document: Mapping[str, Any], now: datetime) -> Lines:
    """Return what one run or intent is: id, name, state, times, labels, inputs."""
    labels = document.get("labels") or {}
    given = document.get("inputs") if document["kind"] == "run" else document.get("payload")
    attempt, most = document.get("attempt"), document.get("max_attempts")
    warnings = document.get("warnings") or 0
    return pairs(
        (document["kind"], Span(document["id"], "id")),
        ("name", Span(document["name"], "name")),
        ("state", looks.state(document["state"])),
        ("reason", document.get("reason")),
        ("warnings", Span(f"{warnings} tolerated failure(s)", "warning") if warnings else None),
        ("attempt", _counted(attempt, most) if attempt and most else None),
        ("queue", document.get("queue")),
        ("priority", str(document["priority"]) if document.get("priority") else None),
        ("created", looks.clock(document.get("created_at"))),
        ("due", looks.clock(document.get("run_at")) if document["state"] == "scheduled" else None),
        ("started", looks.clock(document.get("started_at"))),
        ("finished", looks.clock(document.get("finished_at"))),
        ("took", looks.took(document.get("started_at"), document.get("finished_at"), now)),
        ("labels", ", ".join(f"{key}={value}" for key, value in labels.items())),
        ("correlation", document.get("correlation_id")),
        ("business", document.get("business_id")),
        ("trace", (document.get("traceparent") or "")[3:35] or None),
        (
            "inputs" if document["kind"] == "run" else "payload",
            looks.compact(given, _PAYLOAD_WIDTH) if given else None,
        ),
    )


def _counted(attempt: int, most: int) -> str:
    return f"{attempt} of {most}" + (" (crashes are not counted)" if attempt > most else "")


def summary(document: Mapping[str, Any], now: datetime, *, unicode: bool = True) -> Line:
    """Return one line: glyph, name, short id, state, how far it is, how long it took."""
    state = document["state"]
    steps = document.get("steps") or {}
    ended = sum(step["state"] in looks.ENDED for step in steps.values())
    parts = [f"{ended}/{len(steps)} steps"] if steps else []
    if document.get("attempt", 0) > 1:
        parts.append(f"attempt {document['attempt']}/{document['max_attempts']}")
    took = looks.took(document.get("started_at"), document.get("finished_at"), now)
    return line(
        Span(looks.glyph(state, unicode=unicode), state),
        " ",
        Span(document["name"], "name"),
        " ",
        Span(document["id"][-8:], "id"),
        "  ",
        looks.state(state),
        Span("".join(f"  {part}" for part in (*parts, took) if part), "faint"),
    )


def step_lines(document: Mapping[str, Any], now: datetime, *, unicode: bool = True) -> list[Line]:
    """Return a line per step, drawn as a tree (see ``tree``)."""
    steps: Mapping[str, Mapping[str, Any]] = document.get("steps") or {}
    drawn = tree.places(steps, unicode=unicode)
    width = max((len(place.indent) + len(place.step_id) for place in drawn), default=0)
    return [step_line(place, steps[place.step_id], now, width=width, unicode=unicode) for place in drawn]


def step_line(
    place: tree.Place, step: Mapping[str, Any], now: datetime, *, width: int = 0, unicode: bool = True
) -> Line:
    """Return the line of one step: branches, glyph, id, duration, attempt, reason, error."""
    state = step["state"]
    needs = [need for need in step.get("needs") or () if need != place.parent]
    notes: list[Span] = []
    took = looks.took(step.get("started_at"), step.get("finished_at"), now)
    if state not in {"completed", "blocked"}:
        notes.append(looks.state(state))
    attempt, most = step.get("attempt") or 0, step.get("max_attempts")
    if attempt > 1 or (attempt and state in {"discarded", "scheduled"}):
        notes.append(Span(f"attempt {attempt}/{most}" if most else f"attempt {attempt}", "warning"))
    fault = looks.fault(step.get("error"), _ERROR_WIDTH) if state != "completed" else ""
    reason = step.get("reason") or ""
    if wait := step.get("wait"):
        notes.append(Span(looks.awaits(wait), "faint"))
        reason = ""
    told = state not in {"completed", "running"} or reason == "cached"
    if told and reason not in _REASONS_UNSAID and f"({reason})" not in fault:
        notes.append(Span(f"({reason})", "faint"))
    if step.get("undone"):
        notes.append(Span("undone", "warning"))
    notes += [Span(text, "faint") for text in _particulars(step)]
    if state in {"running", "waiting"} and step.get("progress"):
        notes.append(Span(looks.compact(step["progress"], 60), "faint"))
    if state == "scheduled" and step.get("run_at"):
        notes.append(Span(looks.ago(step["run_at"], now), "faint"))
    if fault:
        notes.append(Span(fault, "bad"))
    if state == "discarded" and (step.get("optional") or step.get("hook")):
        notes.append(Span("tolerated", "warning"))
    if needs and state == "blocked":
        shown = ", ".join(needs[:_NEEDS_SHOWN])
        more = f" +{len(needs) - _NEEDS_SHOWN}" if len(needs) > _NEEDS_SHOWN else ""
        notes.append(Span(f"after {shown}{more}", "faint"))
    if took or notes:
        notes.insert(0, Span(f"{took:>7}", "faint"))
    pad = " " * max(width - len(place.indent) - len(place.step_id), 0)
    spaced = [part for note in notes for part in (Span("  "), note)]
    return (
        Span(place.indent, "faint"),
        Span(looks.glyph(state, unicode=unicode), state),
        Span(f" {place.step_id}{pad if spaced else ''}"),
        *spaced,
    )


def _particulars(step: Mapping[str, Any]) -> list[str]:
    """Return what only some steps have: their hook, how far their items are, why they were skipped."""
    found = [f"[{step['hook']}]"] if step.get("hook") else []
    if step.get("items"):
        items: Mapping[str, int] = step["items"]
        ended = sum(count for state, count in items.items() if state in looks.ENDED)
        bad = sum(items.get(state, 0) for state in ("discarded", "cancelled"))
        found.append(f"{ended:,}/{sum(items.values()):,} items" + (f", {bad:,} bad" if bad else ""))
    if step.get("condition"):
        found.append(f"if {step['condition']['source']}")
    return found


def more(count: int) -> Line:
    """Return the line that stands for steps that do not fit on the screen."""
    return line(Span(f"… {count} more steps", "faint"))


def ending(document: Mapping[str, Any]) -> list[Line]:
    """Return how it ended: the result; or the error, and the command to type next."""
    if document["state"] == "completed":
        first, *rest = looks.spread(document.get("result"), _RESULT_WIDTH)
        return [line(Span("result  ", "label"), first), *(line(f"        {text}") for text in rest)]
    lines = [line(Span("error   ", "label"), Span(looks.fault(document.get("error")), "bad"))]
    if not document.get("error"):
        lines = [line(Span("reason  ", "label"), document["reason"])] if document.get("reason") else []
    told = (document.get("error") or {}).get("step")
    if told:
        lines.insert(0, line(Span("step    ", "label"), told))
    for step_id, step in (document.get("steps") or {}).items():
        if step["state"] == "discarded" and step.get("error") and step_id != told and not step.get("hook"):
            lines.append(
                line(Span("step    ", "label"), f"{step_id}: ", Span(looks.fault(step["error"]), "bad"))
            )
    command, does = _next(document)
    lines.append(line(Span("next    ", "label"), Span(f"trib {command}", "next"), f"   {does}"))
    return lines


def _next(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the command to type next, and what it does."""
    steps, identifier = document.get("steps") or {}, document["id"]
    if document.get("reason") == "workflow_function":
        return f"submit {document['name']}", "starts it as a workflow: as an intent it cannot run"
    if any(name.startswith(UNDO_PREFIX) and undone(name)[0] not in steps for name in steps):
        # a workflow function names what undoes, not what is undone; its history says that all of it was done
        return f"rerun {identifier}", "starts it anew: what it had done is undone"
    does = "runs the failed steps again" if steps else "tries it again"
    queues = [step["queue"] for step in steps.values()] or [document.get("queue") or ""]
    by_any = any(queue.startswith(PRIVATE) for queue in queues)
    return f"retry {identifier}", f"{does}, by any worker" if by_any else does


def items(found: Sequence[Mapping[str, Any]], now: datetime, *, unicode: bool = True) -> Table:
    """Return the items of a fan-out as a table."""
    columns = ("", "key", "item", "state", "attempt", "took", "result", "error")
    rows = [
        (
            Span(looks.glyph(item["state"], unicode=unicode), item["state"]),
            Span(item["key"]),
            Span(looks.compact(item["item"], _ITEM_WIDTH)),
            looks.state(item["state"]),
            Span(str(item["attempt"] or "")),
            Span(looks.took(item.get("started_at"), item.get("finished_at"), now)),
            Span(looks.compact(item["result"], _ITEM_WIDTH) if item["result"] is not None else ""),
            Span(looks.fault(item.get("error"), _ERROR_WIDTH), "bad"),
        )
        for item in found
    ]
    return Table(columns, tuple(rows), frozenset({"attempt", "took"}))


def _attempts(document: Mapping[str, Any], now: datetime) -> Table:
    columns = ("attempt", "state", "started", "took", "worker", "error")
    rows: list[tuple[Span, ...]] = []
    for attempt in document["attempts"]:
        state = attempt.get("state") or attempt.get("outcome") or ""
        rows.append(
            (
                Span(str(attempt.get("attempt", ""))),
                looks.state(state),
                Span(looks.clock(attempt.get("started_at"))),
                Span(looks.took(attempt.get("started_at"), attempt.get("finished_at"), now)),
                Span(str(attempt.get("worker") or "")),
                Span(looks.fault(attempt.get("error"), _ERROR_WIDTH), "bad"),
            )
        )
    told = [any(row[column].text for row in rows) for column in range(len(columns))]
    return Table(
        tuple(compress(columns, told)),
        tuple(tuple(compress(row, told)) for row in rows),
        frozenset({"attempt", "took"}),
    )
