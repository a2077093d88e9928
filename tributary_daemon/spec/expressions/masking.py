"""Secrets out of texts that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK: Final = "***"
# a shorter one is masked where it is the whole text only: words would fall apart
_SHORTEST_INSIDE: Final = 4


def secrets_of(contexts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every text of the context ``secrets``, the longest first, so that none leaves a rest."""
    found: set[str] = set()
    waiting = [value for name, value in contexts.items() if name.lower() == "secrets"]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif value is not None and not isinstance(value, bool):
            found.add(str(value))
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret replaced by ``***``."""
    for secret in secrets:
        if text == secret:
            return MASK
        if len(secret) >= _SHORTEST_INSIDE and secret in text:
            text = text.replace(secret, MASK)
    return text
