"""YAML text as a tree that keeps what a loader drops: comments, blank lines, quotes and anchors.

It is made from the events and positions of the parser that loads workflows, so both read the same language.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.nodes import plain_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLANK: Final = ""
"""Stands for an empty line among comments."""
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PROPERTIES = re.compile(r"(?:[&!]\S*(?:\s+|$))*")
_MARKS = re.compile(r"^[ \t]*\n|(?:^|(?<=[ \t]))#[^\n]*", re.MULTILINE)
_BLOCK_HEADER = re.compile(r"([|>])([+-]?[1-9]?[+-]?)[ \t]*(#.*)?")


class Unformattable(InvalidInput):
    """What cannot be brought into another form without changing it."""


@dataclass(eq=False, slots=True)
class Leaf:
    """A scalar or an alias.

    Attributes:
        text: as written, without anchor and tag.
        style: empty for plain, ``'``, ``"``, ``|``, ``>``, ``*`` for an alias.
        value: the text it stands for.
        properties: anchor and tag, as written.
    """

    text: str
    style: str
    value: str
    properties: str = ""


@dataclass(eq=False, slots=True)
class Entry:
    """A pair of a mapping, or an item of a list.

    Attributes:
        key: None for an item.
        value: what stands there.
        lead: comments above it, and empty lines.
        head: the comment behind its key, or behind the dash.
        tail: the comment behind its value.
        column: where it begins.
        line: the same, 0-based.
    """

    key: Leaf | None
    value: Leaf | Branch
    lead: list[str] = field(default_factory=list)
    head: str | None = None
    tail: str | None = None
    column: int = 0
    line: int = 0


@dataclass(eq=False, slots=True)
class Branch:
    """A mapping or a list.

    Attributes:
        is_mapping: else it is a list.
        flow: written with brackets.
        entries: in order.
        foot: comments behind the last entry.
        properties: anchor and tag, as written.
    """

    is_mapping: bool
    flow: bool
    entries: list[Entry] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)
    properties: str = ""

    @property
    def commented(self) -> bool:
        """Whether a comment stands inside of it."""
        return bool(any(self.foot)) or any(
            any(entry.lead)
            or entry.head is not None
            or entry.tail is not None
            or (isinstance(entry.value, Branch) and entry.value.commented)
            for entry in self.entries
        )


@dataclass(eq=False, slots=True)
class Document:
    """One document of a file.

    Attributes:
        root: None when it is empty.
        marked: it begins with ``---``.
        before: comments above that mark.
        head: the comment behind that mark.
        foot: comments at its end that belong to nothing in it.
    """

    root: Leaf | Branch | None = None
    marked: bool = False
    before: list[str] = field(default_factory=list)
    head: str | None = None
    foot: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A comment or an empty line in the text."""

    offset: int
    line: int
    column: int
    text: str
    own_line: bool


def read(text: str) -> list[Document]:
    """Return the documents of a text that the parser accepts.

    Raises:
        Unformattable: it holds what cannot be kept: directives, keys that are no scalars.
        yaml.YAMLError: it is not YAML.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if not text.endswith("\n"):
        text += "\n"
    stream = _LOADER(text)
    events: list[Any] = []
    while (event := stream.get_event()) is not None:
        events.append(event)
    tokens = _LOADER(text)
    dashes: list[int] = []
    while (token := tokens.get_token()) is not None:
        if isinstance(token, yaml.BlockEntryToken):
            dashes.append(token.start_mark.index)
    return _Reader(text, events, dashes).documents()


def _is(event: Any, *kinds: type) -> bool:
    # a plain answer: the types of the parser's stubs leave every position open
    return isinstance(event, kinds)


class _Reader:
    def __init__(self, text: str, events: Sequence[Any], dashes: Sequence[int]) -> None:
        self._text = text
        self._dashes = dashes
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._events = iter(events)
        self._marks = list(self._find_marks(events))
        self._next = 0
        # block collections that have ended since the last entry began, with their columns
        self._closed: list[tuple[int, Branch]] = []
        self._last: Entry | None = None
        self._last_line = -1

    def documents(self) -> list[Document]:
        # each takes the events up to its end out of the same iterator
        found = [
            self._document(event) for event in self._events if isinstance(event, yaml.DocumentStartEvent)
        ]
        if found:
            found[-1].foot.extend(mark.text for mark in self._marks[self._next :])
        return found

    def _document(self, event: Any) -> Document:
        if event.version or event.tags:
            raise Unformattable("a file with directives (%YAML, %TAG) is not formatted", hint="remove them")
        document = Document(marked=bool(event.explicit))
        if event.explicit:
            document.before = [mark.text for mark in self._take(event.start_mark.index) if mark.own_line]
            line = event.start_mark.line
            if self._next < len(self._marks) and self._marks[self._next].line == line:
                document.head = self._marks[self._next].text
                self._next += 1
        document.root = self._value(next(self._events))
        if isinstance(document.root, Leaf) and not document.root.text:
            document.root = None
        end = next(self._events)
        pending = self._take(end.start_mark.index if end.explicit else self._bound(end))
        document.foot = self._share(pending, -1)
        self._closed.clear()
        return document

    def _bound(self, end: Any) -> int:
        # an implicit end lies where the next document begins, or at the end of the text
        return int(end.start_mark.index)

    # comments and empty lines

    def _find_marks(self, events: Sequence[Any]) -> Iterator[_Mark]:
        at = 0
        for start, end in [*self._scalars(events), (len(self._text), len(self._text))]:
            for found in _MARKS.finditer(self._text, at, max(start, at)):
                text = found[0].strip()
                line = self._line(found.start())
                column = found.start() - self._lines[line]
                own = not self._text[self._lines[line] : found.start()].strip()
                yield _Mark(found.start(), line, column, text, own)
            at = max(at, end)

    def _scalars(self, events: Sequence[Any]) -> Iterator[tuple[int, int]]:
        for event in events:
            if _is(event, yaml.ScalarEvent):
                yield event.start_mark.index, self._end(event)

    def _end(self, event: Any) -> int:
        start, end = event.start_mark.index, event.end_mark.index
        raw = self._text[start:end]
        if event.style in ("|", ">") and "+" not in raw.partition("\n")[0].partition("#")[0]:
            # empty lines behind a block are not part of it, unless it keeps them
            return int(start) + len(raw.rstrip())
        return int(end)

    def _take(self, before: int) -> list[_Mark]:
        first = self._next
        while self._next < len(self._marks) and self._marks[self._next].offset < before:
            self._next += 1
        return self._marks[first : self._next]

    def _share(self, marks: Sequence[_Mark], column: int) -> list[str]:
        """Give comments to what ended above them, by their columns; return those of what begins below."""
        left: list[str] = []
        blanks: list[str] = []
        closed = sorted(self._closed, key=lambda pair: -pair[0])
        for mark in marks:
            if mark.text == BLANK:
                blanks.append(BLANK)
                continue
            if not mark.own_line and self._last is not None and mark.line == self._last_line:
                self._last.tail = mark.text
                continue
            # a list may stand in the very column of the key that holds it
            fitting = [
                pair for pair in closed if pair[0] <= mark.column and column < max(pair[0], mark.column)
            ]
            fitting = [pair for pair in fitting if pair[0] >= column]
            if fitting and not any(left):
                closed = [pair for pair in closed if pair[0] <= fitting[0][0]]
                fitting[0][1].foot.extend([*blanks, mark.text])
            else:
                left.extend([*blanks, mark.text])
            blanks = []
        return [*left, *blanks]

    # nodes

    def _value(self, event: Any) -> Leaf | Branch:
        if _is(event, yaml.AliasEvent):
            self._last_line = event.end_mark.line
            return Leaf(f"*{event.anchor}", "*", f"*{event.anchor}")
        if _is(event, yaml.ScalarEvent):
            leaf = self._leaf(event)
            self._last_line = self._line(max(self._end(event) - 1, event.start_mark.index))
            return leaf
        branch = Branch(_is(event, yaml.MappingStartEvent), bool(event.flow_style))
        branch.properties = self._properties(event)
        column = 0
        while not _is(following := next(self._events), yaml.MappingEndEvent, yaml.SequenceEndEvent):
            entry = self._entry(following, branch)
            if not branch.entries:
                column = entry.column
            branch.entries.append(entry)
        if branch.flow:
            inside = self._take(following.end_mark.index)
            branch.foot = self._share(inside, -1)
            self._last_line = following.end_mark.line
        elif branch.entries:
            self._closed.append((column, branch))
        return branch

    def _entry(self, event: Any, branch: Branch) -> Entry:
        start = self._start(event, branch)
        line = self._line(start)
        entry = Entry(None, Leaf("", "", ""), column=start - self._lines[line], line=line)
        entry.lead = self._share(self._take(start), -1 if branch.flow else entry.column)
        self._closed.clear()
        self._last = None
        if branch.is_mapping:
            if not _is(event, yaml.ScalarEvent):
                raise Unformattable("a key that is no text is not formatted", hint="write a text as key")
            entry.key = self._leaf(event)
            line = event.end_mark.line
            event = next(self._events)
        self._behind(entry, line, event)
        entry.value = self._value(event)
        if isinstance(entry.value, Leaf) or entry.value.flow:
            self._last = entry
        return entry

    def _behind(self, entry: Entry, line: int, event: Any) -> None:
        """Take the comment behind a key or dash, and what stands between it and a value below."""
        block = _is(event, yaml.MappingStartEvent, yaml.SequenceStartEvent) and not event.flow_style
        if event.start_mark.line == line and not block:
            return
        while self._next < len(self._marks) and self._marks[self._next].offset < event.start_mark.index:
            mark = self._marks[self._next]
            if not mark.own_line and mark.line == line and entry.head is None:
                entry.head = mark.text
            elif block:
                return
            elif mark.text != BLANK:
                entry.lead.append(mark.text)
            self._next += 1

    def _start(self, event: Any, branch: Branch) -> int:
        start = int(event.start_mark.index)
        if branch.is_mapping or branch.flow:
            return start
        # the dash stands before the item, on its line or above
        return self._dashes[bisect_left(self._dashes, start) - 1]

    def _line(self, offset: int) -> int:
        return bisect_left(self._lines, offset + 1) - 1

    def _leaf(self, event: Any) -> Leaf:
        raw = self._text[event.start_mark.index : self._end(event)]
        properties = ""
        if event.anchor or event.tag:
            found = _PROPERTIES.match(raw)
            assert found is not None
            properties, raw = " ".join(found[0].split()), raw[found.end() :]
        return Leaf(raw, event.style or "", event.value, properties)

    def _properties(self, event: Any) -> str:
        if not event.anchor and not event.tag:
            return ""
        found = _PROPERTIES.match(self._text, event.start_mark.index)
        return " ".join(found[0].split()) if found else ""


def header(raw: str) -> tuple[str, str, str | None]:
    """Return sign, indicators and comment of the first line of a block text."""
    found = _BLOCK_HEADER.match(raw)
    assert found is not None
    return found[1], found[2], found[3]


def plain(node: Leaf | Branch | None) -> Any:
    """Return the JSON value of a tree, aliases and tags as texts of their own: what two forms must share."""
    if node is None:
        return None
    if isinstance(node, Leaf):
        value = node.value if node.style else plain_value(node.value)
        return {"": [node.properties, value]} if node.properties or node.style == "*" else value
    if node.is_mapping:
        inner: Any = {str(entry.key.value if entry.key else ""): plain(entry.value) for entry in node.entries}
    else:
        inner = [plain(entry.value) for entry in node.entries]
    return {"": [node.properties, inner]} if node.properties else inner
