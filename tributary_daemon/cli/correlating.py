"""Options of commands that submit: the ids that the work carries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tributary_daemon.cli import failures
from tributary_daemon.model.correlation import is_traceparent

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")
_VARIABLE: Final = "TRACEPARENT"


def correlating_options(command: F) -> F:
    """Add ``--correlation``, ``--business`` and ``--traceparent``."""
    for option in (
        click.option(
            "--traceparent",
            metavar="TEXT",
            help="W3C Trace Context of what submits this [env: TRACEPARENT].",
        ),
        click.option("--business", "business_id", metavar="ID", help="Id of the thing that this is about."),
        click.option(
            "--correlation",
            "correlation_id",
            metavar="ID",
            help="Id of what this belongs to: a request, a batch.",
        ),
    ):
        command = option(command)
    return command


def correlating(
    *, correlation_id: str | None, business_id: str | None, traceparent: str | None
) -> dict[str, str | None]:
    """Return these options as a submit takes them; the environment's traceparent counts where none is given.

    One in the environment that is malformed is left out, as the standard has it, and said.
    """
    inherited = os.environ.get(_VARIABLE)
    if traceparent is None and inherited:
        if is_traceparent(inherited):
            traceparent = inherited
        else:
            failures.say_warnings((f"{_VARIABLE} in the environment is no traceparent: it is left out",))
    return {"correlation_id": correlation_id, "business_id": business_id, "traceparent": traceparent}
