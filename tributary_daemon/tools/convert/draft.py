"""A workflow on its way from another tool: what was converted, and notes on what was not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.nodes import plain_value
from tributary_daemon.spec.shell import SHELL_VARIABLES
from tributary_daemon.tools.formatting import formatted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tributary_daemon.tools.convert.source import Map

# what needs no quotes, inside of brackets too
_SAFE = re.compile(r"[A-Za-z0-9_./$(]([A-Za-z0-9_./@%+=*$()'\"&|<>!;~^-]| (?!#)|:(?=[^ ]))*")
_NO_ID = re.compile(r"[^A-Za-z0-9_-]+")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_NO_VARIABLE = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_NOTE: Final = 160
_SPLIT_AT: Final = 90


@dataclass(frozen=True, slots=True)
class Note:
    """Something of the source that has no counterpart.

    Attributes:
        line: 1-based, in the source.
        text: what it is, in the words of the source.
        hint: what to do instead.
    """

    line: int
    text: str
    hint: str | None = None

    def said(self) -> str:
        """Return it for a person who has the source at hand."""
        shown = " ".join(self.text.split())
        if len(shown) > _LONGEST_NOTE:
            shown = f"{shown[:_LONGEST_NOTE]}…"
        return f"line {self.line}: {shown}" + (f" ({self.hint})" if self.hint else "")

    def comment(self) -> str:
        """Return it as it stands in the result."""
        return f"# not converted: {self.said()}"


@dataclass(slots=True)
class StepDraft:
    """A step: its keys, and the notes that stand above it."""

    keys: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


@dataclass(slots=True)
class Draft:
    """A workflow: its keys, steps, hooks and notes."""

    name: str
    keys: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, StepDraft] = field(default_factory=dict)
    hooks: dict[str, dict[str, StepDraft]] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def leave(notes: list[Note], source: Map, key: str, hint: str | None = None) -> None:
    """Note a key of the source that has no counterpart, if it is there."""
    if key in source:
        notes.append(Note(source.lines[key], f"{key}: {_brief(source[key])}", hint))


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result.

    Attributes:
        text: a workflow file.
        steps: how many steps it has.
        notes: what was not converted, by line.
    """

    text: str
    steps: int
    notes: tuple[Note, ...]


def finish(drafts: list[Draft], tool: str) -> Conversion:
    """Write drafts as one file, the first being the workflow and the others those that it runs."""
    text = formatted("---\n".join("\n".join(_lines(draft)) + "\n" for draft in drafts), file="-")
    # a template that several steps use brings its notes to each
    notes = dict.fromkeys(note for draft in drafts for note in _all_notes(draft))
    count = sum(len(draft.steps) + sum(map(len, draft.hooks.values())) for draft in drafts)
    head = f"# Converted from {tool} by `trib convert`."
    return Conversion(f"{head}\n{text}", count, tuple(sorted(notes, key=lambda note: note.line)))


def _all_notes(draft: Draft) -> Iterator[Note]:
    yield from draft.notes
    for steps in (draft.steps, *draft.hooks.values()):
        for step in steps.values():
            yield from step.notes


def _lines(draft: Draft) -> Iterator[str]:
    yield from (note.comment() for note in draft.notes)
    yield f"name: {_scalar(draft.name)}"
    for key, value in draft.keys.items():
        yield from _pair(key, value, 0)
    yield "steps:"
    yield from _steps(draft.steps)
    if draft.result:
        yield from _pair("result", draft.result, 0)
    for hook, steps in draft.hooks.items():
        yield f"{hook}:"
        yield from _steps(steps)


def _steps(steps: Mapping[str, StepDraft]) -> Iterator[str]:
    for step_id, step in steps.items():
        yield from (f"  {note.comment()}" for note in step.notes)
        yield f"  {_scalar(step_id)}:"
        for key, value in step.keys.items():
            yield from _pair(key, value, 4)


def _pair(key: str, value: Any, indent: int) -> Iterator[str]:
    front = f"{' ' * indent}{_scalar(key)}:"
    if isinstance(value, str) and "\n" in value:
        keep = "" if value.endswith("\n") else "-"
        # a first line that begins with blanks would set the indentation
        width = "2" if value.lstrip("\n").startswith(" ") else ""
        yield f"{front} |{width}{keep}"
        yield from (" " * (indent + 2) + line if line else "" for line in value.rstrip("\n").split("\n"))
        return
    if isinstance(value, dict) and value and (len(_flow(value)) > _SPLIT_AT or _blocks(value)):
        yield front
        for inner, each in value.items():
            yield from _pair(inner, each, indent + 2)
        return
    if isinstance(value, list) and value and len(_flow(value)) > _SPLIT_AT and not _blocks(value):
        yield front
        yield from (f"{' ' * (indent + 2)}- {_flow(each)}" for each in value)
        return
    yield f"{front} {_flow(value)}"


def _blocks(value: Any) -> bool:
    """Return whether a value holds a text of several lines, which brackets would fold."""
    if isinstance(value, dict):
        return any(map(_blocks, value.values()))
    if isinstance(value, list):
        return any(map(_blocks, value))
    return isinstance(value, str) and "\n" in value


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _SAFE.fullmatch(value) and value == value.strip() and plain_value(value) == value:
        return value
    if '"' in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False)


def _brief(value: Any) -> str:
    return _flow(value) if not isinstance(value, str) else value


def step_id(word: str, taken: Iterable[str] = ()) -> str:
    """Return a word as the id of a step that is not taken yet."""
    made = _NO_ID.sub("_", word).strip("_") or "step"
    made = made if not made[0].isdigit() and made[0] != "-" else f"step_{made}"
    known, number, found = set(taken), 2, made[:100]
    while found in known:
        found = f"{made[:90]}_{number}"
        number += 1
    return found


def workflow_name(word: str) -> str:
    """Return a word as the name of a workflow, with a version."""
    made = _NO_NAME.sub("_", word.strip().lower()).strip("_.-") or "converted"
    made = ".".join(part.strip("-") or "x" for part in made.split(".") if part)
    made = made if not made[0].isdigit() else f"w_{made}"
    return made if re.search(r"\.v\d+$", made) else f"{made}.v1"


def variable(word: str) -> str:
    """Return a word as the name of an environment variable."""
    made = _NO_VARIABLE.sub("_", word).strip("_").upper() or "VALUE"
    made = made if not made[0].isdigit() else f"V_{made}"
    return f"MY_{made}" if made.startswith("TRIB_") or made in SHELL_VARIABLES else made


def duration(seconds: float) -> str | float:
    """Return seconds in the language's spelling."""
    whole = int(seconds)
    if whole != seconds or whole <= 0:
        return seconds
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
