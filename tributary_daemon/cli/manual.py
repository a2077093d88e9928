"""The page of every error code, as the documentation has it: one heading per code."""

from __future__ import annotations

import re
from pathlib import Path

from tributary_daemon.errors import NotFound, TributaryError
from tributary_daemon.spec.nearest import suggest

_HEADING = re.compile(r"^(#{2,6}) .*\b(TRB\d{3})\b.*$", re.MULTILINE)


def entries() -> dict[str, str]:
    """Return the text of every code, in the order of the page; heading lines without their marks.

    Raises:
        TributaryError: the installation carries no page.
    """
    text = _page().read_text(encoding="utf-8")
    found = list(_HEADING.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {
        match[2]: f"{match[0].lstrip('# ')}\n{_body(text[match.end() : end])}"
        for match, end in zip(found, ends, strict=True)
    }


def entry(code: str) -> str:
    """Return the text of one code.

    Raises:
        NotFound: there is no such code.
    """
    known = entries()
    wanted = code.strip().upper().strip("[]")
    if wanted not in known:
        raise NotFound(f"there is no code {code}", hint=suggest(wanted, list(known)))
    return known[wanted]


def _body(text: str) -> str:
    """Return what stands below one heading; a heading of another kind ends it."""
    return re.split(r"^#{1,2} ", text, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _page() -> Path:
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "_docs" / "errors.md", package.parent / "docs" / "errors.md"):
        if candidate.is_file():
            return candidate
    raise TributaryError("this installation has no page of error codes", hint="reinstall tributary-daemon")
