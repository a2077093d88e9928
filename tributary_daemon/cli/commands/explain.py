"""``trib explain``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, manual
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import NotFound
from tributary_daemon.spec.nearest import nearest
from tributary_daemon.tools import vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.cli.blocks import Line
    from tributary_daemon.tools.vocabulary import Word

_CODE = re.compile(r"\[?trb-?\d*\]?", re.IGNORECASE)


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    words = vocabulary.words()
    known = [*(word.key for word in words), *(word.name for word in words), *manual.entries()]
    return [word for word in dict.fromkeys(known) if word.lower().startswith(incomplete.lower())]


@click.command(
    cls=Command,
    epilog="""\b
WORD is a key of the language (retry, step.retry, retry.backoff), or a code: those stand behind
the message of an error, in brackets. Without WORD all are listed.

\b
Examples:
  trib explain needs
  trib explain workflow.timeout
  trib explain TRB104
  trib explain""",
)
@click.argument("word", required=False, shell_complete=_complete)
@output_option
def explain(*, word: str | None, output: str) -> int:
    """Explain a key of the language, or the code of an error."""
    if word is None:
        _list(output)
    elif _CODE.fullmatch(word.strip()):
        text = manual.entry(word)
        found = {"code": word.strip().upper().strip("[]"), "text": text}
        show(View(found, [found["code"]], lambda: [Lines(tuple(map(line, text.splitlines())))]), output)
    else:
        _explain_key(word, output)
    return failures.COMPLETED


def _explain_key(word: str, output: str) -> None:
    try:
        found, ours = vocabulary.find(word)
    except NotFound as error:
        known = [*{each.key for each in vocabulary.words()}, *manual.entries()]
        near = nearest(word, known)
        meant = f"did you mean {near}? " if near else ""
        raise NotFound(error.message, hint=f"{meant}`trib explain` lists all keys and codes") from None
    if ours is not None:
        failures.say(f"Tributary says: {ours}" if " " in ours else f"Tributary says `{ours}` for {word!r}")
    rows = [each.to_json() for each in found]
    show(
        View(
            rows[0] if len(rows) == 1 else rows,
            [each.name for each in found],
            lambda: [Lines(tuple(_lines(each))) for each in found],
        ),
        output,
    )


def _lines(word: Word) -> Iterator[Line]:
    yield line(Span(word.key, "name"), Span(f"  {word.section}", "faint"))
    yield line(f"  {word.doc}")
    yield line(Span("  form     ", "label"), word.form.replace("`", ""))
    if word.default:
        yield line(Span("  default  ", "label"), word.default)
    for number, text in enumerate(word.example.splitlines()):
        yield line(Span("  example  " if number == 0 else " " * 11, "label"), text)
    for number, rule in enumerate(word.rules):
        yield line(Span("  rules    " if number == 0 else " " * 11, "label"), rule)
    if word.codes:
        yield line(Span("  faults   ", "label"), ", ".join(word.codes))


def _list(output: str) -> None:
    words, pages = vocabulary.words(), manual.entries()
    titles = {code: text.partition("\n")[0] for code, text in pages.items()}
    rows: list[dict[str, Any]] = [{"key": word.name, "title": word.doc} for word in words]
    rows += [{"code": code, "title": title} for code, title in titles.items()]
    width = max(len(word.name) for word in words) + 2

    def blocks() -> list[Lines]:
        keys = tuple(line(Span(word.name.ljust(width), "name"), word.doc) for word in words)
        return [Lines(keys), Lines(tuple(map(line, titles.values())))]

    show(View(rows, [*(word.name for word in words), *pages], blocks), output)
