"""What a measurement is: a scenario with short and full parameters that returns measured rows.

A module in bench/scenarios registers its scenarios by the decorator `scenario`; dropping a file there is all
that is needed. A scenario is a function of the server's URL and of its parameters, by keyword.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.charts import Bars, Lines

SCENARIOS = Path(__file__).with_name("scenarios")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number.

    Attributes:
        name: what was measured, unique within its scenario.
        value: the number; the median where it was measured several times.
        unit: of the value: "/s", "ms", "x" (a ratio), "KiB" ...
        bar: what it is held against, as text (">= 1.5"); empty where nothing is promised.
        ok: whether the bar is met; None without a bar.
        low: the least of several measurements.
        high: the greatest of them.
    """

    name: str
    value: float
    unit: str
    bar: str = ""
    ok: bool | None = None
    low: float | None = None
    high: float | None = None


def row(
    name: str,
    value: float | Sequence[float],
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """Return a row; of several values the median counts, and the least and greatest are shown beside it."""
    values = [value] if isinstance(value, int | float) else list(value)
    middle = float(median(values))
    bars, met = [], []
    if at_least is not None:
        bars.append(f">= {at_least:,g}")
        met.append(middle >= at_least)
    if at_most is not None:
        bars.append(f"<= {at_most:,g}")
        met.append(middle <= at_most)
    low, high = (min(values), max(values)) if len(values) > 1 else (None, None)
    return Row(name, middle, unit, " and ".join(bars), all(met) if met else None, low, high)


@dataclass(slots=True)
class Outcome:
    """What a scenario found.

    Attributes:
        rows: the measured numbers.
        raw: everything the rows were computed from, as JSON values; kept in raw.json.
        charts: plots of it, drawn by the frame as PNG and SVG.
        notes: sentences for the report: what was skipped and why, what a number does not say.
    """

    rows: list[Row] = field(default_factory=list)
    raw: Any = None
    charts: list[Bars | Lines] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A registered scenario; ``short`` is None where only the full benchmark includes it."""

    name: str
    summary: str
    function: Callable[..., Outcome]
    short: Mapping[str, Any] | None
    full: Mapping[str, Any]


_REGISTERED: dict[str, Scenario] = {}


def scenario(
    name: str, *, full: Mapping[str, Any], short: Mapping[str, Any] | None
) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
    """Register ``function(at, **parameters)``; the first line of its docstring becomes its summary.

    Args:
        name: how ``--only`` names it.
        full: keyword arguments of the full benchmark.
        short: those of the short one; None leaves the scenario out of it.
    """

    def register(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
        if name in _REGISTERED:
            raise ValueError(f"two scenarios are named {name!r}")
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        _REGISTERED[name] = Scenario(name, summary, function, short, full)
        return function

    return register


def discover() -> dict[str, Scenario]:
    """Import every module of bench/scenarios; return what is registered, by name, in order."""
    for module in sorted(found.name for found in pkgutil.iter_modules([str(SCENARIOS)])):
        importlib.import_module(f"bench.scenarios.{module}")
    return dict(_REGISTERED)
