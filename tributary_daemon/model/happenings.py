"""The types of what happens to runs, steps and intents: those of ``tributary.events``."""

from __future__ import annotations

from typing import Final

EVENT_TYPES: Final = (
    "run_created",
    "run_completed",
    "run_failed",
    "run_cancelled",
    "run_paused",
    "run_resumed",
    "run_signalled",
    "run_timed_out",
    "run_retried",
    "run_changed",
    "intent_created",
    "step_started",
    "step_completed",
    "step_skipped",
    "step_retry",
    "step_discarded",
    "step_aborted",
    "step_cached",
    "step_snoozed",
    "step_expanded",
    "step_decided",
    "step_waits",
    "step_approved",
    "step_rejected",
    "step_parked",
    "step_continued",
    "step_released",
    "step_crashed",
    "step_cancelled",
    "step_requeued",
    "step_changed",
)
"""In the order of docs/state-machine.md, which says what each means."""
