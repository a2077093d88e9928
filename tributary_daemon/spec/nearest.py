"""Hints that name what was probably meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_SHOWN: Final = 12
# comparing with every one of 10,000 ids takes longer than loading the file
_COMPARED: Final = 2_000
_LIKENESS: Final = 0.6


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word most like ``word``, None when none is close."""
    folded = {candidate.lower(): candidate for candidate in list(known)[:_COMPARED]}
    if word.lower() in folded:
        return folded[word.lower()]
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=_LIKENESS)
    return folded[found[0]] if found else None


def suggest(
    word: str, known: Collection[str], *, what: str = "known", shown: Collection[str] | None = None
) -> str:
    """Return ``did you mean 'x'? known: x, y``.

    Args:
        word: what was written.
        known: what it is compared with.
        what: introduces the list.
        shown: listed in full instead of the first dozen of ``known``.
    """
    if not known:
        return f"{what}: none"
    listed = list(known)[:_SHOWN] if shown is None else shown
    names = ", ".join(listed)
    more = f" and {len(known) - _SHOWN:,} more" if shown is None and len(known) > _SHOWN else ""
    guess = nearest(word, known)
    meant = f"did you mean '{guess}'? " if guess else ""
    return f"{meant}{what}: {names}{more}"
