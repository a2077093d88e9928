"""``-o table|json|jsonl|yaml|name``: one document or many, for people and for programs, on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from tributary_daemon.cli.loader import late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tributary_daemon.cli.blocks import Block

F = TypeVar("F", bound="Callable[..., Any]")

FORMATS: Final = ("table", "json", "jsonl", "yaml", "name")


@dataclass(frozen=True, slots=True)
class View:
    """Something to show, in every form.

    Attributes:
        data: the JSON value: an object for one thing, a list for many.
        names: what ``-o name`` prints, a line each.
        blocks: makes what a person reads; called for ``table`` only.
        rows: what ``-o jsonl`` prints, a line each; None for ``data``, or its items when it is a list.
    """

    data: Any
    names: Sequence[str]
    blocks: Callable[[], Iterable[Block]]
    rows: Sequence[Any] | None = field(default=None)


def output_option(function: F) -> F:
    """Add ``-o``."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to show it: for people, or for programs.",
    )(function)


def choice(
    formats: Sequence[str], sentence: str = "How to show it: for people, or for programs."
) -> Callable[[F], F]:
    """Return ``-o`` of a command that has formats of its own; the first one is the default."""

    def add(function: F) -> F:
        return click.option(
            "-o", "--output", type=click.Choice(formats), default=formats[0], show_default=True, help=sentence
        )(function)

    return add


def show(view: View, output: str, stream: TextIO | None = None) -> None:
    """Print ``view`` in the format ``output``, to stdout unless told otherwise."""
    out = stream or sys.stdout
    match output:
        case "json":
            out.write(dump(view.data, indent=2) + "\n")
        case "jsonl":
            rows = view.rows if view.rows is not None else view.data
            for row in rows if isinstance(rows, (list, tuple)) else [rows]:
                out.write(dump(row) + "\n")
        case "yaml":
            out.write(late("as_yaml:dump")(view.data))
        case "name":
            for name in view.names:
                out.write(f"{name}\n")
        case _:
            late("paint:paint")(view.blocks(), out)


def dump(value: Any, indent: int | None = None) -> str:
    """Return a JSON value as text; characters outside ASCII stay readable."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def document(value: Any) -> Any:
    """Return the JSON value of what the client returned: a model with ``to_json``, or plain data."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [document(item) for item in value]
    return value


def unicode_on(stream: TextIO) -> bool:
    """Whether ``stream`` can show characters outside ASCII."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
