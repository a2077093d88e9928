"""YAML text -> nodes, from the event stream: bounded in depth and size, every fault placed.

The library's own composer recurses (and dies on deep nesting), resolves YAML 1.1 and drops repeated
keys, so nodes are built here.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from tributary_daemon.spec import codes
from tributary_daemon.spec.merging import MERGE_KEY, merge
from tributary_daemon.spec.nodes import Mapping, Node, Place, Scalar, Sequence, kind, plain_value
from tributary_daemon.spec.syntax_errors import SEARCHED, negation, syntax_error, unreadable_character

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.spec.problems import Problems

MAX_DEPTH: Final = 100
MAX_NODES: Final = 1_000_000
# what aliases may add: nodes, and characters of texts
MAX_ALIASED_NODES: Final = 100_000
MAX_ALIASED_CHARACTERS: Final = 4 * 1024 * 1024

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_REFUSED_KEY: Final = Scalar(None, "")


class _Stop(Exception):  # noqa: N818 - leaves the event loop after a fault that was recorded
    pass


class Document(NamedTuple):
    """One document of a text: its root node, and the 0-based line on which it begins."""

    root: Node
    line: int


def compose(text: str, problems: Problems) -> list[Document]:
    """Return the documents of a text; none when a fault makes the rest unreadable.

    Args:
        text: the whole source.
        problems: receives every fault.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start)
        column = error.start - (text.rfind("\n", 0, error.start) + 1)
        problems.error(
            codes.SYNTAX, "a lone surrogate is no character", Place(line, column, line, column + 1)
        )
        return []
    return _composed(text, _LOADER, problems)


def _composed(text: str, loader: Any, problems: Problems) -> list[Document]:
    composer = _Composer(problems)
    try:
        stream = loader(text)
        while (event := stream.get_event()) is not None:
            if (take := _TAKERS.get(type(event))) is not None:
                take(composer, event)
    except yaml.MarkedYAMLError as error:
        if loader is not yaml.SafeLoader and "nesting" in str(error.problem):
            # newer libyaml has a limit of its own (1,000) and looks ahead before it hands out an event:
            # the scanner in Python comes to the place where ours is exceeded
            return _composed(text, yaml.SafeLoader, problems)
        syntax_error(error, problems)
        return []
    except yaml.reader.ReaderError as error:
        unreadable_character(error, text, problems)
        return []
    except _Stop:
        return []
    return composer.documents


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "characters", "key", "node", "nodes")

    def __init__(self, node: Sequence | Mapping, anchor: str | None, nodes: int, characters: int) -> None:
        self.node = node
        self.anchor = anchor
        self.key: Scalar | None = None
        # of the whole document when this began; the difference at its end is its own size
        self.nodes = nodes
        self.characters = characters


class _Composer:
    def __init__(self, problems: Problems) -> None:
        self.documents: list[Document] = []
        self._problems = problems
        self._line = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        self._nodes = 0
        self._characters = 0
        self._aliased_nodes = 0
        self._aliased_characters = 0

    def document(self, event: yaml.DocumentStartEvent) -> None:
        self._anchors.clear()
        if self.documents:
            # what stands above the first one belongs to it
            self._line = _place(event).line

    def _fail(self, code: str, message: str, place: Place, hint: str) -> None:
        self._problems.error(code, message, place, hint=hint)
        raise _Stop

    def scalar(self, event: Any) -> None:
        text: str = event.value
        plain = not event.style
        node = Scalar(text, event.start_mark, event.end_mark, plain=plain)
        if plain:
            node.value = value = plain_value(text)
            if isinstance(value, float) and not math.isfinite(value):
                node.value = text
                message = f"{text[:40]!r} is not a number that JSON can hold"
                self._problems.error(codes.NOT_JSON, message, node, hint="quote it to make it text")
        elif "\0" in text:
            message = "a text holds the character NUL, which cannot be stored"
            self._problems.error(codes.NOT_JSON, message, node)
        if event.tag is not None:
            self._tag(event.tag, _place(event))
            # what is refused already is no further fault
            node.value = text or True
        self._nodes += 1
        self._characters += len(text)
        if self._nodes > MAX_NODES:
            self._count(0, 0, event)
        if event.anchor:
            self._anchors[event.anchor] = (node, 1, len(text))
        self._attach(node)

    def start(self, event: Any) -> None:
        if event.tag is not None:
            self._tag(event.tag, _place(event))
        if len(self._open) >= MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            self._fail(codes.TOO_DEEP, message, _place(event), "a workflow needs far fewer")
        node: Sequence | Mapping
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if is_mapping:
            node = Mapping(event.start_mark, event.end_mark, flow=bool(event.flow_style))
        else:
            node = Sequence(event.start_mark, event.end_mark)
        self._open.append(_Open(node, event.anchor, self._nodes, self._characters))
        self._count(1, 0, event)
        if event.anchor:
            # an alias to it before its end is an alias to itself
            self._anchors.pop(event.anchor, None)

    def end(self, event: Any) -> None:
        opened = self._open.pop()
        node = opened.node
        node.end = event.end_mark
        if isinstance(node, Mapping) and MERGE_KEY in node.pairs:
            merge(node, self._problems)
        if opened.anchor:
            size = self._nodes - opened.nodes, self._characters - opened.characters
            self._anchors[opened.anchor] = (node, *size)
        self._attach(node)

    def alias(self, event: Any) -> None:
        place = _place(event)
        if any(opened.anchor == event.anchor for opened in self._open):
            self._fail(
                codes.ALIAS,
                f"`*{event.anchor}` stands inside what it names",
                place,
                "a value cannot hold itself",
            )
        if event.anchor not in self._anchors:
            self._problems.error(
                codes.ALIAS,
                f"`*{event.anchor}` names no anchor above it",
                place,
                hint=f"write &{event.anchor} before the value, or quote a text that starts with *",
            )
            self._attach(Scalar(None, event.start_mark, event.end_mark))
            return
        node, nodes, characters = self._anchors[event.anchor]
        self._aliased_nodes += nodes
        self._aliased_characters += characters
        if self._aliased_nodes > MAX_ALIASED_NODES or self._aliased_characters > MAX_ALIASED_CHARACTERS:
            self._fail(
                codes.ALIAS,
                f"aliases repeat more than {MAX_ALIASED_NODES:,} values or 4 MiB of text",
                place,
                "aliases of aliases multiply; write fewer of them",
            )
        self._count(nodes, characters, event)
        self._attach(node)

    def _count(self, nodes: int, characters: int, event: yaml.Event) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MAX_NODES:
            self._fail(
                codes.TOO_LARGE,
                f"more than {MAX_NODES:,} values",
                _place(event),
                "move data out of the workflow: pass a path or a URL",
            )

    def _tag(self, tag: str, place: Place) -> None:
        key = self._open[-1].key if self._open else None
        if key is not None and key.value == "if":
            start = key.place[3] if isinstance(key.place, Place) else 0
            column = self._problems.line(place.line).find("!", start, start + SEARCHED)
            negation(place.line, max(column, 0), self._problems)
            return
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        message = f"tags such as {shown!r} are not allowed"
        self._problems.error(codes.TAG, message, place, hint="remove it, or quote the text")

    def _attach(self, node: Node) -> None:
        if not self._open:
            self.documents.append(Document(node, self._line))
            return
        opened = self._open[-1]
        parent, key = opened.node, opened.key
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif key is None:
            opened.key = self._key(node)
        else:
            opened.key = None
            self._put(parent, key, node)

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node
        shown = f" ({json.dumps(node.value)})" if isinstance(node, Scalar) else ""
        self._problems.error(
            codes.NON_STRING_KEY, f"a key must be text, not {kind(node)}{shown}", node, hint="quote it"
        )
        return _REFUSED_KEY

    def _put(self, parent: Mapping, key: Scalar, value: Node) -> None:
        if key is _REFUSED_KEY:
            return
        first = parent.pairs.get(key.value)
        if parent.flow and _without_colon(key, value):
            self._problems.error(
                codes.SPLIT_BY_COMMA,
                f"a comma ends a value inside `{{ }}`, so {key.value!r} became a key without value",
                key,
                hint="quote the whole value, or write it on a line of its own",
            )
        elif first is None:
            parent.pairs[key.value] = (key, value)
        else:
            place = first[0].place
            where = f"; the first one is on line {place.line + 1}" if isinstance(place, Place) else ""
            self._problems.error(
                codes.DUPLICATE_KEY,
                f"the key {key.value!r} is written twice",
                key,
                hint=f"keep one of them{where}",
            )


# of functions, not of bound methods: a composer in a cycle would keep all nodes for the collector to find
_TAKERS: Final[dict[type, Callable[[_Composer, Any], None]]] = {
    yaml.ScalarEvent: _Composer.scalar,
    yaml.MappingStartEvent: _Composer.start,
    yaml.SequenceStartEvent: _Composer.start,
    yaml.MappingEndEvent: _Composer.end,
    yaml.SequenceEndEvent: _Composer.end,
    yaml.AliasEvent: _Composer.alias,
    yaml.DocumentStartEvent: _Composer.document,
}


def _without_colon(key: Scalar, value: Node) -> bool:
    if not (isinstance(value, Scalar) and value.value is None and value.plain):
        return False
    here, there = value.place, key.place
    if not isinstance(here, Place) or not isinstance(there, Place):
        return False
    return here[:2] == here[2:] == there[2:]


def _place(event: yaml.Event) -> Place:
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    return Place(start.line, start.column, end.line, end.column)
