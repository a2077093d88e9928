"""How workers and their processes look: a line for each worker, indented ones for its processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.cli import looks
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from tributary_daemon.cli.blocks import Block

_MIB: Final = 1 << 20
_NAMED: Final = 3
_LATE: Final = 5.0
_STYLES: Final = {"running": "good", "paused": "paused", "draining": "warning", "gone": "bad"}


def workers(rows: list[dict[str, Any]], *, brief: bool) -> list[Block]:
    """Return the table of workers, and below it what does not import."""
    now = looks.now()
    lines = []
    for row in rows:
        lines.append(_worker(row))
        if not brief:
            lines += [_process(row, process, now) for process in row["processes"]]
    table = Table(
        ("worker", "state", "pid", "running", "memory", "beat", "where and what"),
        tuple(lines),
        frozenset({"pid", "running", "memory", "beat"}),
        "no worker has registered; `trib worker` starts one",
        frozenset({"where and what", "worker"}),
    )
    failed = [
        line(Span("not importable  ", "bad"), f"{row['name']}: {_failure(failure)}")
        for row in rows
        for failure in row["failures"]
    ]
    return [table, Lines(tuple(failed))] if failed else [table]


def _worker(row: dict[str, Any]) -> tuple[Span, ...]:
    processes = row["processes"]
    sizes = [process["rss"] for process in processes if process["rss"] is not None]
    slots = sum(process["slots"] or row["concurrency"] for process in processes)
    missing = (row["wanted"] or 0) - len(processes)
    only = f"  names {','.join(row['patterns'])}" if row["patterns"] else ""
    where = f"{row['host']}  {','.join(row['queues'])}{only}{_shards(row)}  {row['version']}"
    return (
        Span(row["name"], "name"),
        Span(_state(row), _STYLES.get(row["state"], "")),
        Span(str(row["pid"])),
        Span(f"{sum(process['running'] for process in processes)}/{slots}"),
        Span(_memory(sum(sizes)) if sizes else ""),
        _beat(row),
        Span(f"{where}  {missing} of {row['wanted']} processes missing", "warning")
        if missing > 0
        else Span(where, "faint"),
    )


def _shards(row: dict[str, Any]) -> str:
    """Return which shards a worker serves, as ``--shards`` takes them; nothing for all."""
    if row["shards"] is None:
        return ""
    spans: list[list[int]] = []
    for shard in row["shards"]:
        if spans and spans[-1][1] == shard - 1:
            spans[-1][1] = shard
        else:
            spans.append([shard, shard])
    numbers = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
    return f"  shards {numbers}{' (auto)' if row['spreads'] else ''}"


def _state(row: dict[str, Any]) -> str:
    """Return the state, and what the worker was told but has not done yet."""
    reached = {"pause": "paused", "drain": "draining", "stop": "gone"}.get(row["command"] or "")
    return row["state"] if reached in (None, row["state"], "gone") else f"{row['state']}, {row['command']}"


def _process(row: dict[str, Any], process: dict[str, Any], now: Any) -> tuple[Span, ...]:
    current = process["current"]
    names = [f"{item['name']} {looks.took(item['since'], None, now)}" for item in current[:_NAMED]]
    more = process["running"] - len(names)
    if more > 0 and names:
        names.append(f"+{more}")
    return (
        Span(f"  {process['name']}"),
        Span("" if process["runtime"] == "python" else process["runtime"], "faint"),
        Span(str(process["pid"] or "")),
        Span(f"{process['running']}/{process['slots'] or row['concurrency']}"),
        Span(_memory(process["rss"])),
        _beat(process),
        Span(", ".join(names)),
    )


def _beat(row: dict[str, Any]) -> Span:
    return Span(durations.text(row["beat_age"]), "bad" if row["beat_age"] > _LATE else "")


def _memory(size: int | None) -> str:
    return "" if size is None else f"{size / _MIB:.0f} MiB"


def _failure(failure: Any) -> str:
    if not isinstance(failure, dict):
        return str(failure)
    return f"{failure.get('module', '?')}: {failure.get('error', '?')}"
