"""Faults, and how the product recovers: `python -m bench.faults` measures, `docs/reliability.md` shows.

Every trial has a database of its own and workers with shipped defaults (two processes each). Several trials
run side by side where they mostly wait; what is measured under load runs alone. A whole run writes its tables
into docs/reliability.md and docs/daemon.md, and exits 1 where a bar was missed or a trial failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from bench.fault_trials import FAULTS, Fault
from bench.own_server import own_server
from bench.report import VERDICTS, machine, publish, table
from bench.scene import Scene, scene
from bench.server import server
from bench.throughput import LOADS, SHARE, Course, Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bench.own_server import OwnServer

T = TypeVar("T")

MARKS = (("daemon.md", "faults"), ("reliability.md", "recovery"), ("reliability.md", "throughput"))
DOCS = Path(__file__).parents[1] / "docs"
_SIDE_BY_SIDE = 2
_WAITING = 8
_LOADS_PER_TRIAL = 4


class Found(NamedTuple, Generic[T]):
    """What the trials of a fault have found, and how many of them failed."""

    values: list[T]
    failed: int


def trials(at: str, one: Callable[[Scene], T], count: int, *, own: bool, side_by_side: int) -> Found[T]:
    """Run trials, each in a scene of its own; one that fails is told and counted, and the others go on."""

    def tried(number: int, url: str, stoppable: OwnServer | None) -> list[T]:
        try:
            with scene(url, number, stoppable) as made:
                return [one(made)]
        except Exception:  # noqa: BLE001 - one broken trial costs its own figure only, and the exit code
            traceback.print_exc()
            return []

    with _servers(at, own=own) as (url, stoppable), ThreadPoolExecutor(1 if own else side_by_side) as pool:
        found = list(pool.map(lambda number: tried(number, url, stoppable), range(count)))
    values = [value for values in found for value in values]
    return Found(values, count - len(values))


@contextmanager
def _servers(at: str, *, own: bool) -> Iterator[tuple[str, OwnServer | None]]:
    with own_server() if own else nullcontext() as made:
        yield (made.url if made else at), made


class Recovery(NamedTuple):
    """A fault and the seconds until work went on."""

    fault: Fault
    found: Found[float]

    @property
    def ok(self) -> bool:
        """Whether every trial ended, and within the bar."""
        return not self.found.failed and max(self.found.values, default=float("inf")) <= (
            self.fault.bar or float("inf")
        )

    def shown(self) -> tuple[str, str]:
        """Return median and greatest."""
        if not self.found.values:
            return "", "all failed"
        failed = f", {self.found.failed} failed" if self.found.failed else ""
        return f"{median(self.found.values):.1f} s", f"{max(self.found.values):.1f} s{failed}"


class Return(NamedTuple):
    """A fault under load, and how the rate came back."""

    load: Load
    found: Found[Course]

    @property
    def ok(self) -> bool:
        """Whether every trial ended, and the median of the shares reaches the bar."""
        return not self.found.failed and median(course.share for course in self.found.values) >= SHARE

    def cells(self) -> tuple[str, ...]:
        """Return a row of the table."""
        courses = self.found.values
        if not courses:
            return (self.load.what, "", "", "", "", "all failed", VERDICTS[False])
        failed = f", {self.found.failed} failed" if self.found.failed else ""
        shares = [course.share for course in courses]
        backs = [course.back for course in courses]
        return (
            self.load.what,
            f"{median(course.before for course in courses):.0f}/s",
            f"{median(course.after for course in courses):.0f}/s",
            f"{median(shares):.1%}",
            f"{min(shares):.1%}",
            f"{median(backs):.0f} s · {max(backs):.0f} s{failed}",
            VERDICTS[self.ok],
        )


def observed(recoveries: list[Recovery]) -> str:
    """Return the table of docs/daemon.md: every fault, and what is observed."""
    heads = ("fault", "what is observed", "recovered when", "p50", "max")
    return table(heads, [(*each.fault[:3], *each.shown()) for each in recoveries])


def asked(recoveries: list[Recovery]) -> str:
    """Return the table of docs/reliability.md: the faults that have a bar."""
    heads = ("fault", "recovered when", "asked for", "p50", "max", "")
    rows = [
        (each.fault.what, each.fault.until, f"{each.fault.bar:g} s", *each.shown(), VERDICTS[each.ok])
        for each in recoveries
        if each.fault.bar is not None
    ]
    return table(heads, rows)


def returned(returns: list[Return]) -> str:
    """Return the table of rates."""
    heads = ("fault", "before", "after", "share, median", "least", "back after, p50 · max", "")
    return table(heads, [each.cells() for each in returns])


def put(text: str, mark: str, page: str) -> str:
    """Return a page with a text between its marks.

    Raises:
        RuntimeError: the page has no such marks.
    """
    begin, finish = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    written, many = re.subn(
        f"{begin}.*?{finish}", lambda _: f"{begin}\n{text}\n{finish}", page, flags=re.DOTALL
    )
    if many != 1:
        raise RuntimeError(f"there is no {begin} in the page, or several")
    return written


def write(shown: Mapping[tuple[str, str], str]) -> None:
    """Put tables into the documents; ``shown`` maps (page, mark) to a text."""
    for (name, mark), text in shown.items():
        path = DOCS / name
        path.write_text(put(text, mark, path.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> int:
    """Inject every fault and show what came of it; return 1 where it was not as asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each fault (default 20)")
    parser.add_argument(
        "--loads", type=int, help="of each fault under load (default: a quarter of the trials)"
    )
    parser.add_argument("--only", help="a regular expression of faults; the documents stay as they are")
    parser.add_argument("--keep", action="store_true", help="leave the documents alone")
    options = parser.parse_args()
    wanted = re.compile(options.only or "")
    loads = -(-options.trials // _LOADS_PER_TRIAL) if options.loads is None else options.loads
    recoveries: list[Recovery] = []
    returns: list[Return] = []
    with server() as at:
        for fault in FAULTS if options.trials else ():
            if wanted.search(fault.what):
                beside = _WAITING if fault.waits else _SIDE_BY_SIDE
                found = trials(at, fault.trial, options.trials, own=fault.own, side_by_side=beside)
                recoveries.append(Recovery(fault, found))
                print(*fault[:3], *recoveries[-1].shown(), sep=" | ", flush=True)
        for load in LOADS if loads else ():
            if wanted.search(load.what):
                courses = trials(at, load.run, loads, own=load.own, side_by_side=1)
                returns.append(Return(load, courses))
                print(*returns[-1].cells(), sep=" | ", flush=True)
    note = f"{options.trials} trials each, {machine()}, workers of two processes, shipped defaults."
    under = f"{loads} trials each on the same machine."
    texts = (
        f"{observed(recoveries)}\n\n{note}",
        f"{asked(recoveries)}\n\n{note}",
        f"{returned(returns)}\n\n{under}",
    )
    shown = dict(zip(MARKS, texts, strict=True))
    publish("faults", "\n\n".join(shown.values()))
    if not (options.keep or options.only):
        write(shown)
    well = all(each.ok for each in recoveries) and all(each.ok for each in returns)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
