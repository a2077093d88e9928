"""``trib explain``."""

from __future__ import annotations

import click

from tributary_daemon.cli import failures, manual
from tributary_daemon.cli.blocks import Lines, line
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command


@click.command(
    cls=Command,
    epilog="""\b
Codes stand behind the message of an error, in brackets. Without CODE all are listed.

\b
Examples:
  trib explain TRB104
  trib explain""",
)
@click.argument("code", required=False)
@output_option
def explain(*, code: str | None, output: str) -> int:
    """Explain the code of an error, such as TRB104."""
    if code is None:
        known = manual.entries()
        titles = [text.partition("\n")[0] for text in known.values()]
        rows = [{"code": key, "title": title} for key, title in zip(known, titles, strict=True)]
        show(View(rows, list(known), lambda: [Lines(tuple(line(title) for title in titles))]), output)
        return failures.COMPLETED
    text = manual.entry(code)
    found = {"code": code.upper(), "text": text}
    show(View(found, [found["code"]], lambda: [Lines(tuple(map(line, text.splitlines())))]), output)
    return failures.COMPLETED
