"""Handlers whose results are kept, for tests of the step cache."""

from __future__ import annotations

import os
from pathlib import Path

from handlers_for_tests import hold, note

from tributary_daemon import Step, handler


@handler("t.price.v1", version=os.environ.get("PRICE_VERSION"))
def price(step: Step, article: str, gate: str | None = None) -> dict:
    note(step, "priced", article=article)
    hold(step, gate)
    return {"article": article, "run": step.run_id, "exact": 0.1}


@handler("t.async_price.v1")
async def async_price(step: Step, article: str) -> dict:
    note(step, "priced", article=article)
    return {"article": article}


@handler("t.alone_price.v1", isolation="process")
def alone_price(step: Step, article: str) -> dict:
    step.connection().execute("insert into effects values (%s, %s, %s)", (step.run_id, step.attempt, 0))
    note(step, "priced", article=article)
    return {"article": article}


@handler("t.flaky_price.v1", max_attempts=1)
def flaky_price(step: Step, article: str) -> dict:
    note(step, "priced", article=article)
    if not (os.path.exists("cheap")):  # noqa: PTH110 - what is there decides
        raise ValueError("no price yet")
    return {"article": article}


@handler("t.bad_price.v1", max_attempts=1)
def bad_price(step: Step, article: str, gate: str | None = None) -> dict:
    """Fail once for each file ``spoilt`` that there is."""
    note(step, "priced", article=article)
    hold(step, gate)
    spoilt = Path("spoilt")
    if spoilt.exists():
        spoilt.unlink()
        raise ValueError("no price yet")
    return {"article": article, "run": step.run_id}
