"""Puts random inputs through a parser; what fails is printed whole."""

from __future__ import annotations

import random
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEPT = Path(__file__).resolve().parents[2] / "out" / "fuzz"
SHOWN = 150
Kind = tuple[str, "Callable[[random.Random], Any]", "Callable[[Any], str]"]


class Hang(BaseException):
    """An input took longer than it may; no `except Exception` swallows it."""


class Found(NamedTuple):
    """What a run has found: how inputs ended, what failed, seconds and the slowest input per kind."""

    ended: Counter[str]
    failures: list[str]
    spent: dict[str, float]
    slowest: dict[str, tuple[float, str]]


def _alarm(*_: Any) -> None:
    raise Hang


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `Hang` after so many seconds of this process."""
    before = signal.signal(signal.SIGVTALRM, _alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def shown(given: Any) -> str:
    """Return an input as text, also one that is too deep for that."""
    try:
        return repr(given)
    except RecursionError:
        return f"(a {type(given).__name__} too deep to be shown)"


def run(
    kinds: tuple[Kind, ...], inputs: int, seed: int, *, seconds: float = 1.0, folder: Path | None = None
) -> Found:
    """Put inputs of all kinds in turn through what takes them.

    Args:
        kinds: name, maker, and what is tried with an input: it returns how that ended.
        inputs: how many in all.
        seed: repeats a run.
        seconds: of this process that one may take.
        folder: where what fails is kept; None for nowhere.
    """
    dice = random.Random(seed)
    found = Found(
        Counter(),
        [],
        dict.fromkeys((kind for kind, *_ in kinds), 0.0),
        {kind: (0.0, "") for kind, *_ in kinds},
    )
    for number in range(inputs):
        kind, make, attempt = kinds[number % len(kinds)]
        given = make(dice)
        started = time.process_time()
        try:
            with bounded(seconds):
                how = attempt(given)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - what fails is the harvest
            how = "FAILED"
            found.failures.append(
                f"{kind} {number}: {shown(given)}\n{''.join(traceback.format_exception(error)[-6:])}"
            )
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                text = given if isinstance(given, str) else shown(given)
                (folder / f"{kind}-{seed}-{number}.txt").write_text(
                    text, encoding="utf-8", errors="surrogatepass"
                )
        took = time.process_time() - started
        found.spent[kind] += took
        if took > found.slowest[kind][0] and how != "FAILED":
            # on a busy machine only a second look tells what an input takes
            started = time.process_time()
            attempt(given)
            found.slowest[kind] = max(
                found.slowest[kind], (min(took, time.process_time() - started), shown(given))
            )
        found.ended[f"{kind} {how}"] += 1
        if sys.stderr.isatty() and number % 1_000 == 0:
            print(f"\r{number:,} of {inputs:,}", end="", file=sys.stderr, flush=True)
    return found


def report(found: Found) -> None:
    """Print what a run has found."""
    for failure in found.failures:
        print(f"\n{failure}")
    for word, count in sorted(found.ended.items()):
        print(f"  {word:22} {count:>9,}")
    for kind, spent in found.spent.items():
        count = sum(number for word, number in found.ended.items() if word.startswith(f"{kind} "))
        longest, text = found.slowest[kind]
        print(f"  {kind}: {spent * 1e6 / max(1, count):,.0f} µs each, the slowest {longest * 1e3:,.1f} ms:")
        print(f"    {text[:SHOWN]}")
