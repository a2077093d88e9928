"""Colours of states in drawings: light fill, dark line; the word stands in the label too."""

from __future__ import annotations

from typing import Final

COLOURS: Final[dict[str, tuple[str, str]]] = {
    "blocked": ("#f1f1f1", "#8a8a8a"),
    "scheduled": ("#dde9fb", "#3566a8"),
    "available": ("#d9f4f7", "#1c7c87"),
    "running": ("#fff3c4", "#a07000"),
    "waiting": ("#dde9fb", "#3566a8"),
    "paused": ("#dde9fb", "#3566a8"),
    "completed": ("#d8f3dc", "#2d7a3e"),
    "skipped": ("#f7f7f7", "#a0a0a0"),
    "cancelled": ("#f3dcf3", "#8a3f8a"),
    "discarded": ("#fbd9d9", "#b02a2a"),
    "failed": ("#fbd9d9", "#b02a2a"),
}
"""state -> (fill, line)."""
