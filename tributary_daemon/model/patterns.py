"""Patterns of names, as SQL's LIKE has them."""

from __future__ import annotations

import re


def like(pattern: str) -> re.Pattern[str]:
    r"""Return a pattern of SQL's LIKE as one of `re`, for ``fullmatch``.

    ``%`` is any text, ``_`` any character, ``\`` takes their meaning away.
    """
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    meaning = {"%": ".*", "_": "."}
    return re.compile("".join(meaning.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)
