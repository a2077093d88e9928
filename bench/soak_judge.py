"""Whether what was measured stays bounded: the slope of each series after a third of the time."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, linear_regression
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Points = Sequence[tuple[float, float]]

WARM_UP = 1 / 3
FEWEST = 6  # points, below which a slope says nothing


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a series may grow over the time that is judged.

    Attributes:
        series: the name of what is measured, or its first part: ``memory`` is for ``memory, process 1``.
        unit: of its values.
        share: of its mean that it may grow by.
        floor: what it may grow by in any case, since small numbers vary.
    """

    series: str
    unit: str
    share: float
    floor: float


BOUNDS = (
    Bound("memory", "MiB", 0.05, 8),
    Bound("open files", "", 0, 3),
    Bound("connections", "", 0, 2),
    # swept once a minute, so it goes up and down by a minute's work
    Bound("tables", "MiB", 0.15, 6),
    Bound("indexes", "MiB", 0.15, 4),
    Bound("dead rows", "", 0.5, 10_000),
    Bound("ready rows", "", 0.5, 50),
    # whole pages are logged again after each checkpoint
    Bound("WAL", "KiB/s", 0.3, 200),
    Bound("start", "ms", 0.5, 100),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one series.

    Attributes:
        series: its name.
        unit: of the values.
        mean: over the time that is judged.
        most: the greatest value in that time.
        growth: what the line through its points rises by in that time.
        allowed: the growth that would just pass.
        ok: whether it passed.
    """

    series: str
    unit: str
    mean: float
    most: float
    growth: float
    allowed: float
    ok: bool


def judge(series: Mapping[str, Points], bounds: Sequence[Bound]) -> list[Verdict]:
    """Return a verdict on each series.

    Args:
        series: per name its points (seconds since the start, value).
        bounds: one for each series.

    Raises:
        ValueError: a series has no bound, a bound no series, or there are too few points for a slope.
    """
    verdicts = []
    used = set()
    for name, points in series.items():
        bound = next((bound for bound in bounds if name.split(",")[0] == bound.series), None)
        if bound is None:
            raise ValueError(f"nobody has said what {name} may grow by")
        used.add(bound.series)
        verdicts.append(_verdict(name, points, bound))
    if missing := [bound.series for bound in bounds if bound.series not in used]:
        raise ValueError(f"never measured: {', '.join(missing)}")
    return verdicts


def _verdict(name: str, points: Points, bound: Bound) -> Verdict:
    last = max((at for at, _ in points), default=0.0)
    judged = [(at, value) for at, value in points if at >= last * WARM_UP]
    if len(judged) < FEWEST:
        raise ValueError(f"{name}: {len(judged)} points are too few for a slope")
    times, values = zip(*judged, strict=True)
    growth = linear_regression(times, values).slope * (times[-1] - times[0])
    mean = fmean(values)
    allowed = max(bound.share * mean, bound.floor)
    return Verdict(name, bound.unit, mean, max(values), growth, allowed, growth <= allowed)
