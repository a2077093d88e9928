"""``trib signal``, ``trib approve``, ``trib reject``."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.client.documents import RunDocument
from tributary_daemon.spec.inputs import parse_cli_value
from tributary_daemon.spec.workflow import InputSpec

if TYPE_CHECKING:
    from tributary_daemon.client.documents import Document

_sender = click.option("--as", "sender", metavar="WHO", help="Recorded as who did it; your login by default.")


@click.command(
    cls=Command,
    epilog="""\b
The step of the run that has waited longest for this signal completes, with the payload as its
result. While none waits, the signal is kept for the first that will. Each signal is taken once, in
the order in which they came.

\b
Examples:
  trib signal @latest warehouse-ready
  trib signal 9f3c21ab payment -d '{"amount": 12}' --key invoice-7""",
)
@click.argument("identifier", metavar="ID")
@click.argument("name", metavar="NAME")
@click.option("-d", "--data", metavar="JSON", help="The payload: JSON, @FILE, or - for standard input.")
@click.option(
    "--key", metavar="KEY", help="Send it once: the signal that is there under this key is not sent again."
)
@_sender
@output_option
def signal(
    *, identifier: str, name: str, data: str | None, key: str | None, sender: str | None, output: str
) -> int:
    """Send a signal to a run."""
    payload = None if data is None else values.json_value(data, "--data")
    with opened() as client:
        full = client.resolve_id(identifier)
        number = client.signal(full, name, payload, key=key, sender=sender or _login())
        taken = client.signal_taken(full, number)
    told = "taken" if taken else "kept, as no step waits for it; `trib why` says what is waited for"
    done = {"id": full, "signal": name, "number": number, "taken": taken}
    _show(done, f"signal {name}, number {number} of the run: {told}", output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
The step completes; its result has who approved, when, and the answer. `trib why ID` says what is asked.

\b
Examples:
  trib approve @latest publish
  trib approve 9f3c21ab publish -i comment="looks good"
  trib approve 9f3c21ab 'deploy[eu]'""",
)
@click.argument("identifier", metavar="ID")
@click.argument("step", metavar="STEP")
@click.option("-d", "--data", metavar="JSON", help="The answer: JSON, @FILE, or - for standard input.")
@click.option(
    "-i", "--input", "pairs", multiple=True, type=values.pair, metavar="K=V",
    help="A field of the answer, typed as the form declares it; repeatable.",
)  # fmt: skip
@_sender
@output_option
def approve(
    *,
    identifier: str,
    step: str,
    data: str | None,
    pairs: tuple[tuple[str, str], ...],
    sender: str | None,
    output: str,
) -> int:
    """Approve what a step of a run asks for."""
    answer = {} if data is None else values.json_value(data, "--data")
    if not isinstance(answer, dict):
        raise click.BadParameter('an answer is a JSON object: {"comment": "fine"}', param_hint="'--data'")
    with opened() as client:
        full = client.resolve_id(identifier)
        if pairs:
            form = _form(client.get(full), step)
            given = values.mapping(pairs, "--input").items()
            answer.update({name: parse_cli_value(form.get(name), text) for name, text in given})
        state = client.approve(full, step, answer, sender=sender or _login())
    _show({"id": full, "step": step, "state": state, "approved": True}, f"{step} approved", output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
The step is discarded, reason `rejected`; what follows depends on the workflow, as with any step that fails.

\b
Examples:
  trib reject @latest publish --reason "the totals are wrong\"""",
)
@click.argument("identifier", metavar="ID")
@click.argument("step", metavar="STEP")
@click.option("--reason", metavar="TEXT", help="Told with the step's error.")
@_sender
@output_option
def reject(identifier: str, step: str, reason: str | None, sender: str | None, output: str) -> int:
    """Reject what a step of a run asks for."""
    with opened() as client:
        full = client.resolve_id(identifier)
        state = client.reject(full, step, reason, sender=sender or _login())
    _show({"id": full, "step": step, "state": state, "approved": False}, f"{step} rejected", output)
    return failures.COMPLETED


def _form(document: Document, step: str) -> dict[str, InputSpec]:
    """Return what a step asks for; empty when that is not known, as for an item of a fan-out."""
    found = document.steps.get(step) if isinstance(document, RunDocument) else None
    form = (found.wait or {}).get("form", {}) if found is not None else {}
    return {name: InputSpec.from_json(dict(spec)) for name, spec in form.items()}


def _login() -> str | None:
    """Return who calls, as this machine knows him; None where it knows nobody."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None


def _show(done: dict[str, Any], told: str, output: str) -> None:
    show(View(done, [done["id"]], lambda: [Lines((line(Span(done["id"], "id"), "  ", told),))]), output)
