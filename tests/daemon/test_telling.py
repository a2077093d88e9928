"""What subscribers are told of the ends of attempts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tributary_daemon.daemon.telling import event_of
from tributary_daemon.model.outcome import (
    Cached,
    CacheWait,
    Completed,
    Discarded,
    ErrorRecord,
    Failed,
    Recorded,
    Released,
    Skipped,
    Snoozed,
)

ERROR = ErrorRecord("ValueError", "no", 1)
HELD = SimpleNamespace(
    correlation=None, run_id="r", step_id="s", name="a.b.v1", kind="step", queue="q", attempt=1, tenant="",
    last=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "name", "said"),
    [
        (Completed("1"), "AttemptCompleted", {}),
        (None, "AttemptCompleted", {}),
        (Cached("1"), "AttemptCached", {}),
        (CacheWait(0.5), "AttemptReleased", {"reason": "cache_wait"}),
        (Failed(ERROR, 2.0), "AttemptFailed", {"last": False, "delay": 2.0, "type": "ValueError"}),
        (Discarded(ERROR), "AttemptFailed", {"last": True, "delay": None}),
        (Snoozed(3.0), "AttemptSnoozed", {"delay": 3.0}),
        (Skipped("{}"), "AttemptSkipped", {}),
        (Released("lease_lost"), "AttemptReleased", {"reason": "lease_lost"}),
    ],
    ids=repr,
)
def test_each_outcome_has_its_event(outcome, name, said):
    event = event_of(HELD, outcome, 0.25)
    assert type(event).__name__ == name
    assert (event.run_id, event.step, event.seconds, event.tenant) == ("r", "s", 0.25, None)
    assert {key: getattr(event, key) for key in said} == said


def test_what_is_recorded_with_it_does_not_hide_the_outcome():
    assert type(event_of(HELD, Recorded(Cached("1"), None), 0.1)).__name__ == "AttemptCached"
