"""``trib keys generate|list|rotate``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.errors import NotPossible
from tributary_daemon.sealing import sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.cli.blocks import Block
    from tributary_daemon.client.rotation import Rotated

_ENTRIES: Final = {
    "generate": Entry("commands.keys:generate", "Make a new encryption key"),
    "list": Entry("commands.keys:list_", "List the encryption keys that are configured here"),
    "rotate": Entry("commands.keys:rotate", "Encrypt anew what old keys have encrypted"),
}
_ON_TERMINALS: Final = 2.0
_ELSEWHERE: Final = 10.0


@click.command(cls=LazyGroup, entries=_ENTRIES)
def keys() -> None:
    """Make, list and rotate encryption keys."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib keys generate
  TRIB_ENCRYPTION_KEYS=$(trib keys generate 2026-11)
  trib keys generate acme-1 --for acme >> /etc/trib/keys

ID is the date of today unless given.

The key is printed once and kept nowhere: whoever loses it loses what it encrypts.""",
)
@click.argument("key_id", metavar="[ID]", required=False)
@click.option("--for", "tenant", metavar="TENANT", help="A key of this tenant alone.")
def generate(key_id: str | None, tenant: str | None) -> int:
    """Make a new encryption key."""
    click.echo(sources.generate(key_id or time.strftime("%Y-%m-%d", time.gmtime()), tenant))
    return failures.COMPLETED


@click.command("list", cls=Command, epilog="\b\nExample:\n  trib keys list -o json")
@output_option
def list_(output: str) -> int:
    """List the encryption keys that are configured here."""
    ring = sources.ring_of(settings())
    rows: list[dict[str, Any]] = [
        {
            "id": key.id,
            "tenant": key.tenant,
            "fingerprint": key.fingerprint,
            "encrypts": ring is not None and ring.first(key),
        }
        for key in (ring.keys if ring is not None else ())
    ]
    table = Table(
        ("key", "tenant", "fingerprint", "use"),
        tuple(
            (
                Span(row["id"], "name"),
                Span(row["tenant"] or "(all others)"),
                Span(row["fingerprint"]),
                Span("encrypts and decrypts", "good") if row["encrypts"] else Span("decrypts"),
            )
            for row in rows
        ),
        frozenset(),
        "no encryption keys are configured: values are stored in plain text",
    )
    show(View(rows, [row["id"] for row in rows], lambda: [table]), output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  TRIB_ENCRYPTION_KEYS=new:...,old:... trib keys rotate --dry-run
  TRIB_ENCRYPTION_KEYS=new:...,old:... trib keys rotate

First give all workers and clients the new key before the old one, and restart them. Workers go
on meanwhile. When it ends nothing of the old key is left, and the old key can be taken away;
interrupted, it goes on where it is started again. Exit code 8: values are left whose key is not
here, or which no key opens.""",
)
@click.option("--dry-run", is_flag=True, help="Count what would be encrypted anew, change nothing.")
@output_option
def rotate(*, dry_run: bool, output: str) -> int:
    """Encrypt anew what old keys have encrypted."""
    with opened() as client:
        done = client.rotate_keys(dry_run=dry_run, seen=_teller())
    found = document(done)
    show(View(found, found["keys"], lambda: _blocks(found)), output)
    return NotPossible.exit_code if found["missing"] or found["broken"] else failures.COMPLETED


def _teller() -> Callable[[Rotated], None]:
    """Return what says on stderr, now and then, how far it is."""
    pause = _ON_TERMINALS if sys.stderr.isatty() else _ELSEWHERE
    said_at = time.monotonic()

    def tell(so_far: Rotated) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > pause:
            said_at = time.monotonic()
            waits = f", {so_far.left:,} were in use" if so_far.left else ""
            at = f", at {so_far.table}" if so_far.table else ""
            failures.say(f"{so_far.resealed:,} values encrypted anew so far{at}{waits}")

    return tell


def _blocks(found: dict[str, Any]) -> list[Block]:
    key = ", ".join(found["keys"])
    verb = "would be" if found["dry_run"] else "were"
    number = found["resealed"]
    lines = [
        line(Span(f"{number:,} value{'' if number == 1 else 's'} {verb} encrypted anew with {key}", "good"))
    ]
    if found["done"] and not found["missing"]:
        lines.append(line("nothing of another key is left"))
    lines += [
        line(Span(f"{count:,} values are encrypted with the key {name}, which is not here", "bad"))
        for name, count in sorted(found["missing"].items())
    ]
    if found["broken"]:
        lines.append(line(Span(f"{found['broken']:,} values cannot be opened with any key", "bad")))
    return [Lines(tuple(lines))]
