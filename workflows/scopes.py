"""The handler of scope_comparison.yaml: it keeps a ledger of its executions."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from tributary_daemon import Step, handler


class Price(BaseModel):
    """What was looked up, and by which run."""

    article: str
    cents: int
    looked_up_by: str


@handler("demo.look_up_price.v1", version="1")
def look_up_price(article: str, ledger: str, step: Step) -> Price:
    """Look up the price of an article, dearly: a line in the ledger for each time."""
    path = Path(ledger)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(f"{step.run_id} {article}\n")
    return Price(article=article, cents=100 * len(article), looked_up_by=step.run_id)
