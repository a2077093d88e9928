"""Plots of a report, as PNG and SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import StrMethodFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

OURS, LIMIT = "trib", "yardstick"  # systems whose names begin so are drawn in colours of their own
_ACCENT, _OTHER, _BARE, _INK, _FAINT = "#0f6fb5", "#9fb3c1", "#e9eef2", "#22303a", "#e3e8ec"
_FEW = 30  # points of a line that are worth a marker each
_LINES = (_ACCENT, "#d1622b", "#3d8f5f", "#8a5fa8", "#b58a0f", "#5c6b76")
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.fonttype": "none",  # text stays text: small files, the reader's own font
}


@dataclass(frozen=True, slots=True)
class Bars:
    """A horizontal bar per system with a whisker from its least to its greatest value.

    Attributes:
        title: what is compared.
        axis: what the numbers are, with their unit.
        values: per system all its measurements; the bar is their median.
        log: whether the axis is logarithmic.
    """

    title: str
    axis: str
    values: Mapping[str, Sequence[float]]
    log: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A line per series of points.

    Attributes:
        title: what is shown.
        x: name and unit of the horizontal axis.
        y: name and unit of the vertical axis.
        series: per name its points (x, y).
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical axis is logarithmic.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False
    log_y: bool = False


def draw(chart: Bars | Lines, path: Path) -> None:
    """Draw a chart as ``path``.png and ``path``.svg."""
    mpl.use("agg")
    with plt.rc_context(_STYLE):
        if isinstance(chart, Bars):
            figure, axes = plt.subplots(figsize=(8, 1.3 + 0.42 * len(chart.values)))
            _bars(axes, chart)
        else:
            figure, axes = plt.subplots(figsize=(8, 4.2))
            _lines(axes, chart)
        axes.set_title(chart.title, loc="left", pad=12, fontweight="bold")
        figure.savefig(path.with_suffix(".png"), dpi=150, bbox_inches="tight")
        figure.savefig(path.with_suffix(".svg"), bbox_inches="tight")
        plt.close(figure)


def _bars(axes: Axes, chart: Bars) -> None:
    names = sorted(chart.values, key=lambda name: median(chart.values[name]))
    middles = [median(chart.values[name]) for name in names]
    below = [middle - min(chart.values[name]) for name, middle in zip(names, middles, strict=True)]
    above = [max(chart.values[name]) - middle for name, middle in zip(names, middles, strict=True)]
    colours = [_colour(name) for name in names]
    edges = [_OTHER if colour == _BARE else colour for colour in colours]
    axes.barh(names, middles, color=colours, edgecolor=edges, height=0.62, zorder=2)
    axes.errorbar(
        middles, names, xerr=[below, above], fmt="none", ecolor=_INK, elinewidth=1.2, capsize=4, zorder=3
    )
    for name, middle, more in zip(names, middles, above, strict=True):
        axes.annotate(
            f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}",
            (middle + more, name), xytext=(8, 0), textcoords="offset points", va="center",
        )  # fmt: skip
    axes.set_xlabel(chart.axis)
    if chart.log:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.margins(x=0.14)
    axes.set_xlim(left=min(middles) / 3 if chart.log else 0)
    axes.grid(axis="x", color=_FAINT, zorder=0)
    axes.tick_params(length=0)


def _colour(name: str) -> str:
    if name.startswith(OURS):
        return _ACCENT
    return _BARE if name.startswith(LIMIT) else _OTHER


def _lines(axes: Axes, chart: Lines) -> None:
    for colour, (name, points) in zip(cycle(_LINES), chart.series.items(), strict=False):
        marker = "o" if len(points) <= _FEW else ""
        axes.plot(
            *zip(*points, strict=True), color=colour, label=name, linewidth=2, marker=marker, markersize=4
        )
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axes.grid(color=_FAINT)
    axes.tick_params(length=0)
    if len(chart.series) > 1:
        axes.legend(frameon=False)
