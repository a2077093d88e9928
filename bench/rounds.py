"""Interleaved rounds: everything that is compared runs once per round, in an order that rotates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import systems
from bench.environments import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.systems import Peer

Measure = dict[str, "Callable[[], float]"]


@dataclass(slots=True)
class Rounds:
    """What rounds found.

    Attributes:
        rates: per system its rate in every round; a system that failed once is left out.
        skipped: per system why it was left out.
    """

    rates: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def ratios(self, ours: str, theirs: str) -> list[float]:
        """Return one system's rate over another's, round by round."""
        pairs = zip(self.rates[ours], self.rates[theirs], strict=True)
        return [own / other for own, other in pairs]

    def notes(self) -> list[str]:
        """Return a line per system that was left out."""
        return [f"{name} is missing: {why}" for name, why in self.skipped.items()]


def interleave(measures: Measure, rounds: int) -> Rounds:
    """Measure everything ``rounds`` times.

    Args:
        measures: per system a call that runs it once and returns its rate.
        rounds: how often.
    """
    found = Rounds()
    names = list(measures)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if name in found.skipped:
                continue
            try:
                rate = measures[name]()
            except UnavailableError as error:
                found.skipped[name] = str(error)
                found.rates.pop(name, None)
                continue
            found.rates.setdefault(name, []).append(rate)
            print(f"  round {number + 1} of {rounds}: {name} {rate:,.0f}/s", flush=True)
    return found


def fastest(at: str, peer: Peer, work: Mapping[str, int], tries: int) -> tuple[Mapping[str, Any], str]:
    """Return the variant with the best median of ``tries``, and a note on what was tried.

    Without tries it is the peer's first variant, the fastest when it was last tried.
    """
    if not tries:
        return peer.variants[0], f"{peer.name}: {spelled(peer.variants[0])}"
    measures: Measure = {
        spelled(variant): partial(systems.drain, at, peer, variant, work) for variant in peer.variants
    }
    rates = interleave(measures, tries).rates
    best = max(peer.variants, key=lambda variant: median(rates.get(spelled(variant), [0.0])))
    tried = "; ".join(f"{name} {median(found):,.0f}/s" for name, found in rates.items())
    return best, f"{peer.name}: {spelled(best)} (tried: {tried})"


def spelled(variant: Mapping[str, Any]) -> str:
    """Return settings as a reader likes them."""
    return ", ".join(f"{name} {value}" for name, value in variant.items())
