"""``trib doctor``."""

from __future__ import annotations

from typing import Final

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command

_STYLES: Final = {"ok": "good", "warn": "warning", "fail": "bad"}


@click.command(
    cls=Command,
    epilog="""\b
Looks at settings, handlers, database, clock, connections, schema, workers, dead letters and
queues. Exit 0 when nothing fails; 7 when the database is to blame; 2 when the settings are.

\b
Examples:
  trib doctor
  trib doctor -o json""",
)
@output_option
def doctor(*, output: str) -> int:
    """Check this installation and say what to mend."""
    found = list(late("checks:examine")(settings(), failures.say))
    rows = [finding.to_json() for finding in found]

    def blocks() -> list[Lines]:
        width = max(len(finding.check) for finding in found)
        lines = []
        for finding in found:
            level = Span(f"{finding.level:<4}", _STYLES[finding.level])
            lines.append(line(level, f"  {finding.check:<{width}}  {finding.message}"))
            if finding.hint:
                lines.append(line(" " * (width + 8), Span(f"-> {finding.hint}", "next")))
        return [Lines(tuple(lines))]

    show(View(rows, [f"{finding.level} {finding.check}" for finding in found], blocks), output)
    return next((finding.code for finding in found if finding.level == "fail"), failures.COMPLETED)
