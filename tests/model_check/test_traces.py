"""Random traces of the real SQL functions are allowed by the model."""

from __future__ import annotations

import random
from collections import Counter

from tests.model_check.random_traces import record
from tests.model_check.replay import judge


def test_random_traces_are_allowed(stages):
    seen = Counter()
    for number in range(150):
        trace = record(stages[number % len(stages)], random.Random(f"7:{number}"))
        judge(trace)
        seen.update(entry.asked[0] for entry in trace.entries)
    print(seen)
