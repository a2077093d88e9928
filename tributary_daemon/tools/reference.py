"""The reference part of docs/language.md, made from the tables of keys (``make docs``)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tributary_daemon.tools.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.tools.vocabulary import Word

BEGIN: Final = "<!-- reference: made by `make docs` from the table of keys -->"
END: Final = "<!-- end of reference -->"
_TITLES: Final = {"workflow": "Keys of a workflow", "step": "Keys of a step", "input": "Keys of an input"}


def text() -> str:
    """Return the reference in Markdown, between its markers."""
    return "\n".join([BEGIN, "", *_sections(), END])


def renewed(page: str) -> str:
    """Return a page with its reference made anew.

    Raises:
        ValueError: the page lacks the markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return f"{before}{text()}{after}"


def _sections() -> Iterator[str]:
    section = None
    for word in words():
        if word.section != section:
            section = word.section
            yield f"## {_TITLES.get(section, f'Keys of `{section}`')}"
            yield ""
        yield from _entry(word)


def _entry(word: Word) -> Iterator[str]:
    yield f"### `{word.key}` ({_of(word.section)})"
    yield word.doc
    yield ""
    yield f"- Type: {word.form}"
    if word.default:
        yield f"- Default: {word.default}"
    for rule in word.rules:
        yield f"- {rule}"
    if word.codes:
        yield f"- Faults: {', '.join(word.codes)}"
    yield ""
    if word.example:
        yield from ("```yaml", *word.example.splitlines(), "```", "")


def _of(section: str) -> str:
    return section if section in _TITLES else f"in {section}"


def main() -> int:
    """Renew docs/language.md in the working directory, or the page that is named."""
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/language.md")
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
