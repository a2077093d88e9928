"""The census as one HTML page, from census.html beside this file."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from census import Census, Package


def render(census: Census) -> str:
    """Return the census as one HTML page that needs nothing else."""
    total = census.total
    facts = {
        "packages": f"{total.packages:,}",
        "modules": f"{total.modules:,}",
        "classes": f"{total.classes:,}",
        "functions": f"{total.functions:,}",
        "lines": f"{total.lines:,}",
        "with a docstring": f"{total.docstring_coverage:.1%}",
    }
    longest = total.longest_function
    return Template(Path(__file__).with_name("census.html").read_text(encoding="utf-8")).substitute(
        python=escape(census.python),
        processes=census.processes,
        seconds=f"{census.seconds:.2f}",
        longest=f"<code>{escape(longest.name)}</code> in <code>{escape(longest.file)}:{longest.line}</code>, "
        f"{longest.lines:,} lines"
        if longest
        else "none",
        facts="\n".join(f"<li><b>{value}</b> {label}</li>" for label, value in facts.items()),
        lanes="\n".join(lanes(census)),
        rows="\n".join(row(package, census.packages[0].lines) for package in census.packages),
    )


def lanes(census: Census) -> Iterator[str]:
    """Yield the timeline: a lane per process, a bar per package from its start to its end."""
    begin = min(package.started_at for package in census.packages)
    whole = max(census.seconds, 0.001)
    for pid in sorted({package.pid for package in census.packages}):
        rows: list[list[str]] = []
        free_at: list[datetime] = []
        mine = sorted((p for p in census.packages if p.pid == pid), key=lambda package: package.started_at)
        for package in mine:
            place = next((i for i, free in enumerate(free_at) if free <= package.started_at), len(rows))
            if place == len(rows):
                rows.append([])
                free_at.append(package.finished_at)
            free_at[place] = package.finished_at
            left = (package.started_at - begin).total_seconds() / whole * 100
            took = (package.finished_at - package.started_at).total_seconds()
            name = escape(package.name)
            rows[place].append(
                f'<i style="left:{left:.2f}%;width:{max(took / whole * 100, 0.15):.2f}%" '
                f'title="{name}: {took * 1000:.0f} ms">{name}</i>'
            )
        tracks = "".join(f"<div>{''.join(bars)}</div>" for bars in rows)
        yield f"<section><h3>process {pid} <small>{len(mine)} packages</small></h3>{tracks}</section>"


def row(package: Package, most_lines: int) -> str:
    """Return one package as a table row."""
    longest = package.longest_function
    took = (package.finished_at - package.started_at).total_seconds() * 1000
    cells = [
        cell(package.name, f'<code title="{escape(package.name)}">{escape(package.name)}</code>'),
        cell(package.lines, bar(package.lines / most_lines, f"{package.lines:,}"), "bar"),
        *(cell(number, f"{number:,}") for number in (package.modules, package.classes, package.functions)),
        cell(
            package.docstring_coverage,
            bar(package.docstring_coverage, f"{package.docstring_coverage:.0%}"),
            "bar doc",
        ),
        cell(longest.lines, f"<code>{escape(longest.name)}</code> {longest.lines}", "text")
        if longest
        else cell(0, "", "text"),
        cell(package.pid, str(package.pid)),
        cell(package.started_at.timestamp(), clock(package.started_at)),
        cell(package.finished_at.timestamp(), clock(package.finished_at)),
        cell(took, f"{took:.0f}"),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def clock(at: datetime) -> str:
    """Return the time of day to the millisecond."""
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def cell(sorted_by: float | str, content: str, classes: str = "") -> str:
    """Return a table cell; ``content`` is HTML, ``sorted_by`` what the column sorts by."""
    return f'<td class="{classes}" data-v="{escape(str(sorted_by))}">{content}</td>'


def bar(share: float, label: str) -> str:
    """Return a bar as long as ``share`` (0 to 1) of its cell, with its label on top."""
    return f'<i style="width:{share:.1%}"></i><b>{label}</b>'
