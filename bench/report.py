"""Results as Markdown, JSON and plots, kept in bench/results with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.scenario import Outcome, Row, Scenario

RESULTS = Path(__file__).parent / "results"
HEADS = ("measured", "median", "least", "greatest", "unit", "bar", "")
VERDICTS = {True: "ok", False: "**missed**", None: ""}


def machine() -> str:
    """Return what everything ran on."""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def publish(name: str, text: str) -> None:
    """Print a result and keep it as ``results/NAME-<time>.md``."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{name}-{now:%Y%m%dT%H%M%SZ}.md"
    path.write_text(f"{now:%Y-%m-%d %H:%M} UTC, {machine()}\n\n{text}\n", encoding="utf-8")
    print(f"{text}\n\n{machine()}; kept in {path}")


def number(value: float | None) -> str:
    """Return a number with three significant digits, thousands grouped; nothing for None."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def line(row: Row) -> tuple[str, ...]:
    """Return a row as cells of the table."""
    numbers = (number(row.value), number(row.low), number(row.high))
    return (row.name, *numbers, row.unit, row.bar, VERDICTS[row.ok])


class Report:
    """One run's report; it is written anew after every scenario, so that an ended run leaves what it has."""

    def __init__(self, *, full: bool) -> None:
        """Make ``results/<time>/``."""
        now = datetime.now(UTC)
        self.folder = RESULTS / f"{now:%Y%m%dT%H%M%SZ}"
        self.folder.mkdir(parents=True)
        self._heading = f"{now:%Y-%m-%d %H:%M} UTC, {'full' if full else 'short'} form, {machine()}"
        self._sections: list[str] = []
        self._raw: dict[str, Any] = {"measured_on": self._heading, "scenarios": {}}

    def add(self, scenario: Scenario, outcome: Outcome | None, failure: str, seconds: float) -> None:
        """Print a scenario's result, draw its charts, and write report.md and raw.json.

        Args:
            scenario: what ran.
            outcome: what it found; None when it broke.
            failure: why, as a traceback.
            seconds: how long it took.
        """
        if outcome is None:
            text = f"**It broke:**\n\n```\n{failure.rstrip()}\n```"
            kept: dict[str, Any] = {"failure": failure}
        else:
            text = self._shown(scenario, outcome)
            kept = {"rows": [asdict(row) for row in outcome.rows], "notes": outcome.notes, "raw": outcome.raw}
        print(text, flush=True)
        self._sections.append(f"## {scenario.name}\n\n{scenario.summary} Took {seconds:.0f} s.\n\n{text}")
        self._raw["scenarios"][scenario.name] = {"seconds": round(seconds, 1), **kept}
        body = "\n\n".join((f"# Benchmark\n\n{self._heading}", *self._sections))
        (self.folder / "report.md").write_text(f"{body}\n", encoding="utf-8")
        (self.folder / "raw.json").write_text(json.dumps(self._raw, indent=1, default=str), encoding="utf-8")

    def _shown(self, scenario: Scenario, outcome: Outcome) -> str:
        parts = [table(HEADS, map(line, outcome.rows))] if outcome.rows else []
        if outcome.notes:
            parts.append("\n".join(f"- {note}" for note in outcome.notes))
        if outcome.charts:
            from bench.charts import draw  # noqa: PLC0415 - matplotlib is needed only where something is drawn

            for count, chart in enumerate(outcome.charts, 1):
                name = f"{scenario.name}-{count}"
                draw(chart, self.folder / name)
                parts.append(f"![{chart.title}]({name}.svg)")
        return "\n\n".join(parts)
