"""Many random traces over all plans, each judged as soon as it is recorded, and what was seen in them."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from tests.model_check.random_traces import record
from tests.model_check.recording import PLANS, Stage
from tests.model_check.replay import judge
from tests.model_check.slot_traces import judge_slots, record_slots
from tests.model_check.tables import intent

if TYPE_CHECKING:
    from tests.model_check.replay import Trace

OVERLAPS = ("allow", "skip", "queue")
LENGTH = 12


class Campaign:
    """Records and judges traces on one connection; the number of a trace and the seed repeat it."""

    def __init__(self, connection, seed: str) -> None:
        self.connection, self.seed = connection, seed
        self.stages = [Stage(connection, plan, name) for name, plan in PLANS.items()]
        self.stages += [Stage(connection, intent(most), f"public {most}", public=True) for most in (1, 2)]
        self.seen: Counter[tuple[str, str]] = Counter()

    def trace(self, number: int) -> None:
        """Record and judge a trace of the protocol."""
        trace = record(self.stages[number % len(self.stages)], random.Random(f"{self.seed}:{number}"), LENGTH)
        judge(trace)
        self._note(trace)

    def slot_trace(self, number: int) -> None:
        """Record and judge a trace of a schedule."""
        dice = random.Random(f"{self.seed}:{number}")
        trace = record_slots(self.connection, OVERLAPS[number % len(OVERLAPS)], dice, LENGTH)
        judge_slots(trace)
        self.seen.update((entry.asked[0], str(entry.answer)) for entry in trace.entries)

    def told(self) -> str:
        """Return what was seen, and how often."""
        return "\n".join(
            f"{name:<18}{word:<24}{times:>8,}" for (name, word), times in sorted(self.seen.items())
        )

    def _note(self, trace: Trace) -> None:
        before = trace.entries[0].tables.steps
        for entry in trace.entries[1:]:
            self.seen["call", entry.asked[0]] += 1
            after = entry.tables.steps
            self.seen.update(
                ("became", f"{old.state}>{new.state}")
                for old, new in zip(before, after, strict=True)
                if old.state != new.state
            )
            before = after
            match entry.asked:
                case ("finish", _, batch):
                    refused = set(entry.answer)
                    self.seen.update(
                        ("refused" if told[:2] in refused else "accepted", told[2]) for told in batch
                    )
                case ("public_finish", _, _, outcome, _):
                    self.seen["accepted" if entry.answer else "refused", outcome] += 1
