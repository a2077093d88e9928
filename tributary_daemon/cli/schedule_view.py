"""How schedules look: a table of them, one with its slots, the slots of a backfill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tributary_daemon.cli import looks
from tributary_daemon.cli.blocks import Block, Lines, Span, Table, line, pairs
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from datetime import datetime

_STATES: Final = {"active": "good", "paused": "paused", "disabled": "bad"}
_OUTCOMES: Final = {"fired": "good", "queued": "waiting", "planned": "scheduled", "skipped": "warning",
                    "missed": "warning", "known": "faint"}  # fmt: skip


def listed(rows: list[dict[str, Any]]) -> list[Block]:
    """Return the table of schedules, and below it what is wrong with them."""
    now = looks.now()
    table = Table(
        ("name", "cron", "zone", "starts", "state", "next", "last"),
        tuple(
            (
                Span(row["name"], "name"),
                Span(row["cron"]),
                Span(row["timezone"]),
                Span(row["target"]),
                _state(row),
                _next(row, now),
                Span(looks.ago(row["last_slot"], now)),
            )
            for row in rows
        ),
        empty="nothing starts by itself: `trib schedule add`, or `schedule:` in a workflow file",
        giving=frozenset({"starts"}),
    )
    faults = [
        line(Span(f"{row['name']}: ", "name"), Span(row["error"], "bad")) for row in rows if row["error"]
    ]
    late = [_overdue(row) for row in rows if row["overdue"]]
    return [table, *([Lines((*faults, *late))] if faults or late else [])]


def one(row: dict[str, Any]) -> list[Block]:
    """Return a schedule, its next slots, and what became of the newest ones."""
    now = looks.now()
    given = row["inputs"] if row["kind"] == "run" else row["payload"]
    blocks: list[Block] = [
        pairs(
            ("schedule", Span(row["name"], "name")),
            ("starts", f"{'workflow' if row['kind'] == 'run' else 'intent'} {row['target']}"),
            ("when", f"{row['cron']}  ({row['timezone']})"),
            ("state", _state(row)),
            ("reason", Span(row["error"], "bad") if row["error"] else None),
            ("from", f"the file of {row['workflow']}" if row["workflow"] else "added by hand"),
            ("overlap", row["overlap"]),
            ("catch-up", durations.text(row["catchup"]) if row["catchup"] else None),
            ("jitter", f"up to {durations.text(row['jitter'])}" if row["jitter"] else None),
            ("given", looks.compact(given, 2_000) if given else None),
            ("options", looks.compact(row["options"]) if row["options"] else None),
            ("so far", _so_far(row)),
            ("next", local(row["next"][0], row["timezone"], now) if row["next"] else None),
            *(("", local(at, row["timezone"], now)) for at in row["next"][1:]),
        )
    ]
    if row["overdue"]:
        blocks.append(Lines((_overdue(row),)))
    if row.get("fires"):
        blocks.append(_fires(row["fires"], row["timezone"], now))
    if row["state"] != "active":
        blocks.append(
            Lines((line(Span("next  ", "label"), Span(f"trib schedule resume {row['name']}", "next")),))
        )
    return blocks


def backfilled(rows: list[dict[str, Any]], zone: str) -> Table:
    """Return what a backfill did, slot by slot."""
    return Table(
        ("slot", "outcome", "id"),
        tuple(
            (Span(local(row["slot"], zone)), _outcome(row["outcome"]), Span(row["id"] or "", "id"))
            for row in rows
        ),
        empty="no slot lies there",
    )


def local(text: str, zone: str, now: datetime | None = None) -> str:
    """Return a time as a clock in that zone shows it, with how far off it is if ``now`` is given."""
    at = looks.moment(text)
    assert at is not None
    try:
        shown = at.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M:%S %Z")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        shown = looks.clock(text)
    return shown if now is None else f"{shown}  {looks.ago(text, now)}"


def _state(row: dict[str, Any]) -> Span:
    waits = f", {row['queued']} wait" if row["queued"] else ""
    return Span(f"{row['state']}{waits}", _STATES.get(row["state"], ""))


def _next(row: dict[str, Any], now: datetime) -> Span:
    return Span(local(row["next"][0], row["timezone"], now)) if row["next"] else Span("never", "faint")


def _so_far(row: dict[str, Any]) -> str:
    parts = [f"{row['fired']:,} fired"]
    if row["missed"]:
        parts.append(f"{row['missed']:,} missed")
    if row["queued"]:
        parts.append(f"{row['queued']:,} wait for earlier work")
    return ", ".join(parts)


def _overdue(row: dict[str, Any]) -> tuple[Span, ...]:
    late = durations.text(row["overdue"])
    text = f"{row['name']}: a slot has been due for {late} and nobody fires it; is a worker running?"
    return line(Span(text, "warning"))


def _fires(rows: list[dict[str, Any]], zone: str, now: datetime) -> Table:
    return Table(
        ("slot", "outcome", "cause", "id", "work", "decided"),
        tuple(
            (
                Span(local(row["slot"], zone)),
                _outcome(row["outcome"], row.get("missed", 0)),
                Span(row["cause"], "faint"),
                Span((row["id"] or "")[-8:], "id"),
                looks.state(row["state"]) if row["state"] else Span(""),
                Span(looks.ago(row["at"], now)),
            )
            for row in rows
        ),
    )


def _outcome(word: str, count: int = 0) -> Span:
    return Span(f"{word} {count:,}" if count > 1 else word, _OUTCOMES.get(word, ""))
