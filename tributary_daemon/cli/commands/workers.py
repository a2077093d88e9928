"""``trib workers`` and ``trib workers drain|pause|resume|stop``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, fleet_view, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import SHARED, Command
from tributary_daemon.errors import InvalidInput, NotFound, NotPossible, WaitTimeout
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from tributary_daemon.client.reader import Reader

_ENTRIES: Final = {
    "drain": Entry("commands.workers:drain", "Tell workers to finish what runs, then end"),
    "pause": Entry("commands.workers:pause", "Tell workers to claim nothing more; what runs goes on"),
    "resume": Entry("commands.workers:resume", "Tell paused workers to claim again"),
    "stop": Entry("commands.workers:stop", "Tell workers to give back at once what runs, and end"),
}
_NAMES: Final = """\b
NAME is a worker's name (all of that name are told), HOST/NAME, or an id of `trib workers -o json`.
It works from any machine, and is obeyed within a second or two."""
_POLL: Final = 0.2


class _ListingGroup(LazyGroup):
    """A group that lists when no command of it is named; so it takes the shared options itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, invoke_without_command=True, **kwargs)
        self.params = [*self.params, *SHARED]


@click.command(
    cls=_ListingGroup,
    entries=_ENTRIES,
    epilog="""\b
Examples:
  trib workers
  trib workers --brief
  trib workers -o json
  trib workers drain web-1 --wait""",
)
@click.option("--brief", is_flag=True, help="A line for each worker, without its processes.")
@output_option
@click.pass_context
def workers(context: click.Context, *, brief: bool, output: str) -> int:
    """List workers with what they run; drain, pause or stop them."""
    if context.invoked_subcommand is not None:
        return failures.COMPLETED
    with opened() as client:
        rows = document(client.workers())
    show(View(rows, [row["name"] for row in rows], lambda: fleet_view.workers(rows, brief=brief)), output)
    return failures.COMPLETED


def _command(name: str, summary: str, until: str, more: str) -> click.Command:
    """Make one of the four commands: they differ in their word and in what ``--wait`` waits for."""

    @click.command(
        name,
        cls=Command,
        help=summary,
        epilog=f"{more}\n\n{_NAMES}\n\n\b\nExamples:\n  trib workers {name} web-1\n"
        f"  trib workers {name} web-1 web-2 --wait --timeout 2m",
    )
    @click.argument("names", metavar="NAME...", nargs=-1, required=True)
    @click.option("--wait", is_flag=True, help=f"Wait until {until}.")
    @click.option(
        "--timeout", type=values.duration, metavar="DURATION", help="Wait no longer than this (exit 5)."
    )
    @output_option
    def command(*, names: tuple[str, ...], wait: bool, timeout: float | None, output: str) -> int:
        if timeout is not None and not wait:
            raise click.UsageError("--timeout bounds --wait, which is not given")
        return _tell(names, name, wait=wait, timeout=timeout, output=output)

    return command


drain: Final = _command(
    "drain",
    "Tell workers to finish what runs, then end.",
    "they are gone",
    "Nothing new is claimed; after the worker's own --drain-timeout the rest is given back. It cannot be "
    "undone; `trib workers stop` ends it at once.",
)
pause: Final = _command(
    "pause",
    "Tell workers to claim nothing more; what runs goes on.",
    "they are paused",
    "What was claimed and has not started is given back. They go on beating, and wait for "
    "`trib workers resume`.",
)
resume: Final = _command(
    "resume",
    "Tell paused workers to claim again.",
    "they are running",
    "One that is not paused stays as it is.",
)
stop: Final = _command(
    "stop",
    "Tell workers to give back at once what runs, and end.",
    "they are gone",
    "Processes are killed; what they ran is given back without using up an attempt, except work that may "
    "start only once (--max-attempts 1), which is discarded.",
)
_REACHED: Final[dict[str, str | None]] = {"pause": "paused", "resume": "running", "drain": None, "stop": None}


def _tell(names: tuple[str, ...], word: str, *, wait: bool, timeout: float | None, output: str) -> int:
    code = failures.COMPLETED
    told: list[str] = []
    with opened() as client:
        # one that is told to end may be gone before it is looked up
        before = document(client.workers())
        for name in names:
            try:
                told += client.command_worker(name, word)
            except (NotFound, NotPossible, InvalidInput) as error:
                failures.say_error(error.message, error.hint)
                code = code or error.exit_code
        found = {row["id"]: row for row in before}
        shown = [
            found.get(worker, {"id": worker, "name": worker, "host": None}) for worker in dict.fromkeys(told)
        ]
        if wait:
            code = _wait(client, shown, word, timeout) or code
    done = [{"id": row["id"], "name": row["name"], "host": row["host"], "command": word} for row in shown]
    if done or not code:
        show(View(done, [row["name"] for row in done], lambda: [_told(done, wait=wait)]), output)
    return code


def _rows(client: Reader, told: list[str]) -> list[dict[str, Any]]:
    return [row for row in document(client.workers()) if row["id"] in told]


def _wait(client: Reader, shown: list[dict[str, Any]], word: str, timeout: float | None) -> int:
    """Wait until each has done as told; return the exit code.

    A worker that is fenced meanwhile comes back under another id, with the command; then it counts as gone.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = _REACHED[word]
    names = {row["id"]: row["name"] for row in shown}
    while True:
        present = {row["id"]: row for row in _rows(client, list(names))}
        left = [names[worker] for worker in names if not _reached(present.get(worker), wanted)]
        lost = [names[worker] for worker in names if wanted is not None and _gone(present.get(worker))]
        if lost:
            error = NotPossible(f"{', '.join(lost)} ended instead", hint="`trib workers` shows who is there")
            failures.say_error(error.message, error.hint)
            return error.exit_code
        if not left:
            return failures.COMPLETED
        if deadline is not None and time.monotonic() >= deadline:
            late = WaitTimeout(
                f"{', '.join(left)} has not done so within {durations.text(timeout or 0.0)}",
                hint="it has been told; `trib workers` shows how far it is",
            )
            failures.say_error(late.message, late.hint)
            return late.exit_code
        time.sleep(_POLL)


def _reached(row: dict[str, Any] | None, wanted: str | None) -> bool:
    return _gone(row) if wanted is None else row is not None and row["state"] == wanted


def _gone(row: dict[str, Any] | None) -> bool:
    return row is None or not row["alive"]


_DONE: Final = {"pause": "paused", "resume": "resumed", "drain": "drained", "stop": "stopped"}


def _told(done: list[dict[str, Any]], *, wait: bool) -> Lines:
    def words(row: dict[str, Any]) -> str:
        return _DONE[row["command"]] if wait else f"told to {row['command']}"

    return Lines(
        tuple(
            line(
                Span(words(row), "good"), "  ", Span(row["name"], "name"),
                Span(f"  on {row['host']}" if row["host"] else "", "faint"),
            )
            for row in done
        )
    )  # fmt: skip
