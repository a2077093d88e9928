"""A tree of YAML as text: two spaces of indentation, comments on the lines they belong to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.tools.yaml_tree import BLANK, Branch, Leaf, header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tributary_daemon.tools.yaml_tree import Document, Entry

WIDTH: Final = 110
"""A mapping or list in brackets that is longer becomes a block."""
_STEP: Final = "  "
_BREAK = re.compile(r"\n[ \t]*")


def write(documents: Sequence[Document]) -> str:
    """Return the text of a file."""
    writer = _Writer()
    for number, document in enumerate(documents):
        writer.comments(document.before, "")
        if document.marked or number:
            writer.line("---" + _behind(document.head))
        if isinstance(document.root, Leaf):
            writer.line(_joined(document.root.properties, _reindented(document.root, "")))
        elif document.root is not None:
            writer.root(document.root)
        writer.comments(document.foot, "")
    return writer.text()


class _Writer:
    def __init__(self) -> None:
        self._lines: list[str] = []
        # an empty line at the beginning of a block says nothing
        self._opened = True
        # lines up to here end with empty ones that mean something
        self._kept = 0

    def text(self) -> str:
        while len(self._lines) > self._kept and not self._lines[-1]:
            self._lines.pop()
        return "\n".join(self._lines) + "\n"

    def line(self, text: str) -> None:
        self._lines.append(text)
        self._opened = False

    def comments(self, lines: Iterable[str], indent: str) -> None:
        for line in lines:
            if line != BLANK:
                self.line(indent + line)
            elif not self._opened and self._lines and self._lines[-1]:
                self._lines.append("")

    def root(self, branch: Branch) -> None:
        flow = _flow(branch, 0)
        if flow is not None:
            self.line(_joined(branch.properties, flow))
            return
        if branch.properties:
            self.line(branch.properties)
        self._block(branch, "")

    def _block(self, branch: Branch, indent: str) -> None:
        for entry in branch.entries:
            self.comments(entry.lead, indent)
            self._entry(entry, indent, indent)
        self.comments(branch.foot, indent)

    def _entry(self, entry: Entry, indent: str, begin: str) -> None:
        """Write an entry whose first line begins with ``begin``, its further lines with ``indent``."""
        front = begin + (f"{_key(entry.key)}:" if entry.key is not None else "-")
        value = entry.value
        if isinstance(value, Leaf):
            self._leaf(entry, value, front, indent)
            return
        flow = _flow(value, len(front) + 1 + len(value.properties))
        if flow is not None and entry.head is None:
            self.line(_joined(front, value.properties, flow) + _behind(entry.tail))
            return
        head = entry.head
        if entry.tail is not None and head is None:
            # a flow that became a block: what stood behind it now stands behind its key
            head = entry.tail
        inner = indent + _STEP
        first = value.entries[0] if value.entries else None
        if entry.key is None and first is not None and head is None and not value.properties:
            lead = [line for line in first.lead if line != BLANK]
            if not lead:
                self._entry(first, inner, f"{front} ")
                for further in value.entries[1:]:
                    self.comments(further.lead, inner)
                    self._entry(further, inner, inner)
                self.comments(value.foot, inner)
                return
        self.line(_joined(front, value.properties) + _behind(head))
        self._opened = True
        self._block(value, inner)

    def _leaf(self, entry: Entry, leaf: Leaf, front: str, indent: str) -> None:
        if leaf.style in ("|", ">"):
            sign, indicators, comment = header(leaf.text)
            digits = "".join(letter for letter in indicators if letter.isdigit())
            body = leaf.text.split("\n")[1:]
            shift = _shift(body, digits, entry, indent)
            self.line(
                _joined(front, leaf.properties, sign + indicators)
                + _behind(comment or entry.head or entry.tail)
            )
            for line in body:
                self._lines.append(shift(line))
            if "+" in indicators and self._lines and not self._lines[-1]:
                # the last break of the text ends its last line
                self._lines.pop()
                self._kept = len(self._lines)
            return
        text = _reindented(leaf, indent + _STEP)
        comments = [comment for comment in (entry.head, entry.tail) if comment is not None]
        if len(comments) > 1:
            self._lines.append(indent + comments.pop(0))
        self.line(_joined(front, leaf.properties, text) + _behind(comments[0] if comments else None))


def _shift(body: Sequence[str], digits: str, entry: Entry, indent: str) -> Callable[[str], str]:
    """Return what moves a line of a block text below its new key."""
    written = [line for line in body if line.strip()]
    old = min((len(line) - len(line.lstrip(" ")) for line in written), default=0)
    new = indent + (" " * int(digits) if digits else _STEP)
    if digits:
        old = entry.column + int(digits)
    return lambda line: new + line[old:] if line.strip() or len(line) > old else ""


def _key(key: Leaf) -> str:
    return _joined(key.properties, key.text)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _behind(comment: str | None) -> str:
    return f"  {comment}" if comment else ""


def _reindented(leaf: Leaf, indent: str) -> str:
    """Return a text whose further lines begin at ``indent``; blanks there mean nothing in YAML."""
    first, *further = _BREAK.split(leaf.text)
    return "\n".join([first, *(indent + line if line else "" for line in further)])


def _flow(branch: Branch, before: int) -> str | None:
    """Return a branch in brackets; None when it must be a block."""
    if branch.entries and (not branch.flow or branch.commented):
        return None
    text = _bracketed(branch)
    return None if branch.entries and ("\n" in text or before + len(text) > WIDTH) else text


def _bracketed(branch: Branch) -> str:
    parts = []
    for entry in branch.entries:
        value = entry.value
        shown = value.text if isinstance(value, Leaf) else _bracketed(value)
        text = _joined(value.properties, shown)
        if entry.key is not None:
            key = _key(entry.key)
            # an alias would take the colon for a part of its name
            # what follows an empty value would be read as a part of the key without the blank
            text = f"{key}{' ' if entry.key.style == '*' else ''}: {text}".rstrip() if text else f"{key}: "
        parts.append(text)
    inner = ", ".join(parts)
    return f"{{{inner}}}" if branch.is_mapping else f"[{inner}]"
