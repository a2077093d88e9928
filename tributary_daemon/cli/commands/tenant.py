"""``trib tenant list|set|bind|unbind``."""

from __future__ import annotations

from typing import Any, Final, Literal

import click

from tributary_daemon.cli import failures
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.limits import limit_options, limits_text, opens, set_limits
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.model import durations

_ENTRIES: Final = {
    "list": Entry("commands.tenant:list_", "List tenants: what is ready and runs, limits, logins"),
    "set": Entry("commands.tenant:set_", "Limit tenants over all workers and queues"),
    "bind": Entry("commands.tenant:bind", "Let a login of the database act for some tenants alone"),
    "unbind": Entry("commands.tenant:unbind", "Let logins act for all tenants again"),
}


@click.command(cls=LazyGroup, entries=_ENTRIES)
def tenant() -> None:
    """List and limit tenants, bind logins to them."""


@click.command("list", cls=Command)
@output_option
def list_(output: str) -> int:
    """List tenants: what is ready and runs, limits, logins."""
    with opened() as client:
        rows = document(client.tenants())
    show(View(rows, [row["name"] for row in rows], lambda: [_table(rows)]), output)
    return failures.COMPLETED


@click.command(
    "set",
    cls=Command,
    epilog="""\b
Examples:
  trib tenant set acme --concurrency 4
  trib tenant set acme beta --rate 5000/h
  trib tenant set acme --concurrency none --rate none

What is not given stays as it is. What runs counts, also what began before.""",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@limit_options
@output_option
def set_(
    names: tuple[str, ...], concurrency: int | Literal["none"] | None, rate: str | None, output: str
) -> int:
    """Limit tenants over all workers and queues."""
    return set_limits(names, concurrency, rate, output, lambda client: client.set_tenant)


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib tenant bind acme_app acme
  trib tenant bind support acme beta

The login sees and reaches the work of these tenants alone, and submits for them alone, from
now on, also in its open sessions. They replace those that it was bound to. `trib migrate roles`
makes the roles to grant.""",
)
@click.argument("login")
@click.argument("names", metavar="TENANT...", nargs=-1, required=True)
@output_option
def bind(login: str, names: tuple[str, ...], output: str) -> int:
    """Let a login of the database act for some tenants alone."""
    with opened() as client:
        bound = client.bind_login(login, names)
    row = {"login": login, "tenants": list(bound or ())}
    told = line(Span(login, "name"), "  acts for ", Span(", ".join(row["tenants"])))
    show(View(row, row["tenants"], lambda: [Lines((told,))]), output)
    return failures.COMPLETED


@click.command(cls=Command, epilog="\b\nExample:\n  trib tenant unbind support")
@click.argument("logins", metavar="LOGIN...", nargs=-1, required=True)
@output_option
def unbind(logins: tuple[str, ...], output: str) -> int:
    """Let logins act for all tenants again."""
    with opened() as client:
        for login in logins:
            client.bind_login(login, None)
    rows = [{"login": login, "tenants": None} for login in logins]
    lines = tuple(line(Span(login, "name"), "  acts for all tenants") for login in logins)
    show(View(rows, logins, lambda: [Lines(lines)]), output)
    return failures.COMPLETED


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        ("tenant", "available", "running", "oldest", "limit", "state", "logins"),
        tuple(
            (
                Span(row["name"] or "(none)", "name"),
                Span(f"{row['available']:,}" + ("+" if row["more"] else "")),
                Span(f"{row['running']:,}"),
                Span("" if row["oldest_age"] is None else durations.text(row["oldest_age"])),
                Span(limits_text(row)),
                opens(row),
                Span(", ".join(row["logins"])),
            )
            for row in rows
        ),
        frozenset({"available", "running", "oldest"}),
        "no tenant has work that is ready or runs, a limit or a login",
    )
