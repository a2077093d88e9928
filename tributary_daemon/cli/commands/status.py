"""``trib status``."""

from __future__ import annotations

import sys
from typing import Any

import click

from tributary_daemon.cli import failures, looks, records
from tributary_daemon.cli.follow import exit_code
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show, unicode_on
from tributary_daemon.cli.shared import Command

_EPILOG = """\b
ID may be @latest, or any unique head or tail of at least 6 characters.

\b
Examples:
  trib status @latest
  trib status 9f3c21ab -o json
  trib status 9f3c21ab --items resize
  trib status 9f3c21ab --exit-status && echo completed"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("identifier", metavar="ID")
@click.option(
    "--exit-status",
    is_flag=True,
    help="Exit 0 completed, 1 failed or discarded, 6 cancelled, 5 not ended yet.",
)
@click.option("--items", "step", metavar="STEP", help="Show the items of this step, which fans out.")
@output_option
def status(*, identifier: str, exit_status: bool, step: str | None, output: str) -> int:
    """Show one run or intent."""
    if step is not None and exit_status:
        raise click.UsageError("--exit-status is about the run, --items about one of its steps")
    with opened() as client:
        if step is not None:
            found_items = [item.to_json() for item in client.items(client.resolve_id(identifier), step)]
            show(
                View(
                    found_items,
                    [f"{step}[{item['key']}]" for item in found_items],
                    lambda: [records.items(found_items, looks.now(), unicode=unicode_on(sys.stdout))],
                ),
                output,
            )
            return failures.COMPLETED
        found = document(client.get(client.resolve_id(identifier)))
    show(view(found), output)
    return exit_code(found["state"]) if exit_status else failures.COMPLETED


def view(found: dict[str, Any]) -> View:
    """Return what is shown of a status document."""
    return View(
        found, [found["id"]], lambda: records.status(found, looks.now(), unicode=unicode_on(sys.stdout))
    )
