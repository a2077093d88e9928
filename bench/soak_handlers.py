"""Handlers of the soak: small work with real types, and some that fails at first."""

from __future__ import annotations

from pydantic import BaseModel

from tributary_daemon import Retry, Step, handler


class Letter(BaseModel):
    n: int
    text: str = ""


@handler("soak.note.v1")
def note(args: Letter) -> Letter:
    """Return an equal model."""
    return Letter(n=args.n, text=args.text)


@handler("soak.flaky.v1", max_attempts=3, retry=Retry(backoff="fixed", delay=1.0))
def flaky(args: Letter, step: Step) -> Letter:
    """Fail the first attempt."""
    if step.attempt == 1:
        raise RuntimeError("not yet")
    return args
