"""The file of another tool as plain values that know their lines."""

from __future__ import annotations

from typing import Any

import yaml

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.nodes import plain_value
from tributary_daemon.tools.yaml_tree import Branch, Leaf, read

_DEEP = "nested too deeply, or an alias holds itself"


class Map(dict[str, Any]):
    """A mapping; ``lines`` tells for each key the 1-based line where it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}

    def mapping(self, key: str) -> Map:
        """Return the mapping under a key; an empty one when there is something else, or nothing."""
        found = self.get(key)
        return found if isinstance(found, Map) else Map()

    def sequence(self, key: str) -> Seq:
        """Return the list under a key; a single value counts as a list of one."""
        found = self.get(key)
        if isinstance(found, Seq):
            return found
        alone = Seq()
        if found is not None:
            alone.append(found)
            alone.lines.append(self.lines[key])
        return alone


class Seq(list[Any]):
    """A list; ``lines`` tells for each item the 1-based line where it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def load(text: str) -> list[Map]:
    """Return the mappings that the documents of a text are; empty documents are left out.

    Raises:
        InvalidInput: it is not YAML, or a document is no mapping.
    """
    try:
        documents = [_value(document.root, {}) for document in read(text) if document.root is not None]
    except yaml.YAMLError as error:
        raise InvalidInput(
            f"this is not YAML: {' '.join(str(error).split())}", hint="check the file"
        ) from None
    except RecursionError:
        raise InvalidInput(f"this cannot be read: {_DEEP}", hint="write it flatter") from None
    for document in documents:
        if not isinstance(document, Map):
            raise InvalidInput("a workflow is expected, not a list or a text", hint="check the file")
    if not documents:
        raise InvalidInput("the file holds nothing", hint="check the path")
    return documents


def _value(node: Leaf | Branch, anchors: dict[str, Any]) -> Any:
    if isinstance(node, Leaf) and node.style == "*":
        if node.text[1:] not in anchors:
            raise InvalidInput(f"`{node.text}` names no anchor above it", hint="check the file")
        return anchors[node.text[1:]]
    value = _plain(node, anchors)
    for word in node.properties.split():
        if word.startswith("&"):
            anchors[word[1:]] = value
    return value


def _plain(node: Leaf | Branch, anchors: dict[str, Any]) -> Any:
    if isinstance(node, Leaf):
        return node.value if node.style else plain_value(node.value)
    if not node.is_mapping:
        items = Seq()
        for entry in node.entries:
            items.append(_value(entry.value, anchors))
            items.lines.append(entry.line + 1)
        return items
    found = Map()
    for entry in node.entries:
        assert entry.key is not None
        value = _value(entry.value, anchors)
        if entry.key.value == "<<" and not entry.key.style:
            for merged in value if isinstance(value, Seq) else [value]:
                if isinstance(merged, Map):
                    for key, inner in merged.items():
                        if key not in found:
                            found[key] = inner
                            found.lines[key] = merged.lines[key]
            continue
        found[entry.key.value] = value
        found.lines[entry.key.value] = entry.line + 1
    return found


def text(value: Any) -> str:
    """Return a scalar as the text that a shell or a condition would see."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
