"""``trib health``."""

from __future__ import annotations

from typing import Any

import click

from tributary_daemon.cli import failures, probe, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import ConfigError


@click.command(
    cls=Command,
    epilog="""\b
Without URL the address is that of TRIB_HEALTH_LISTEN (or health_listen in trib.toml), on this machine.
Touches no database. Exit 0 for yes; 1 for no, or when nobody answers; 2 when no address is known.

\b
Examples:
  trib health
  trib health --live
  trib health http://10.0.0.7:8080/readyz -o json""",
)
@click.argument("url", metavar="[URL]", required=False)
@click.option("--live", is_flag=True, help="Ask whether it lives (/healthz) instead of whether it is ready.")
@click.option(
    "--timeout",
    type=values.duration,
    default="3s",
    show_default=True,
    metavar="DURATION",
    help="How long to wait for the answer.",
)
@output_option
def health(*, url: str | None, live: bool, timeout: float, output: str) -> int:
    """Ask a worker's health endpoint, as a container does."""
    address = url or settings().health_listen
    if address is None:
        raise ConfigError(
            "no health endpoint is configured",
            hint="give a URL, or set TRIB_HEALTH_LISTEN=127.0.0.1:8080 for worker and probe",
        )
    host, port, path = probe.target(address, "/healthz" if live else "/readyz")
    answer = probe.ask(host, port, path, timeout)
    place = f"{f'[{host}]' if ':' in host else host}:{port}{path}"
    data = answer.document or {"status": "no answer", "reasons": [f"{place}: {answer.fault}"], "warnings": []}
    show(View(data, [str(data.get("status", ""))], lambda: [_lines(data, place, well=answer.well)]), output)
    return failures.COMPLETED if answer.well else failures.FAILED


def _lines(data: dict[str, Any], place: str, *, well: bool) -> Lines:
    status = Span(str(data.get("status") or data.get("error")), "good" if well else "bad")
    name = data.get("name")
    first = line(status, f"  {name}, {data.get('state')}" if name else "", Span(f"  {place}", "faint"))
    reasons = [line("  ", Span(str(text))) for text in data.get("reasons", [])]
    warnings = [line("  ", Span(str(text), "warning")) for text in data.get("warnings", [])]
    return Lines((first, *reasons, *warnings))
