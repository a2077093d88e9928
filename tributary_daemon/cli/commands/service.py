"""``trib service print|install|uninstall``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tributary_daemon.cli import failures, reach, systemd, units, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command, Shared
from tributary_daemon.daemon.options import parse_queues
from tributary_daemon.errors import ConfigError, NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_ENTRIES: Final = {
    "print": Entry("commands.service:print_", "Print the unit for this installation"),
    "install": Entry("commands.service:install", "Write the unit to where systemd finds it"),
    "uninstall": Entry("commands.service:uninstall", "Stop and remove what was installed"),
}
_PRINT_EPILOG: Final = """\b
Examples:
  trib service print --queues default,heavy:4 --import billing.handlers
  trib service print --template --user"""
_INSTALL_EPILOG: Final = """\b
The URL of the database is not part of the unit: what to do about it is printed at the end.
docs/systemd.md goes through all of it.

\b
Examples:
  sudo /opt/tributary/.venv/bin/trib service install --import billing.handlers
  trib service install --user --queues media --import ./thumbnails.py"""


@click.command(cls=LazyGroup, entries=_ENTRIES)
def service() -> None:
    """Run the worker as a service of systemd."""


def _which(function: F) -> F:
    """Add the options that say which unit it is about."""
    for option in (
        click.option("--template", is_flag=True, help="The unit per queue, trib-worker@QUEUE.service."),
        click.option("--user", is_flag=True, help="For systemd of this user instead of the system's."),
    ):
        function = option(function)
    return function


def _worker(function: F) -> F:
    """Add the options that the unit passes on to ``trib worker``."""
    for option in (
        click.option("--enable-shell", is_flag=True, help="Run the shell steps of workflows too."),
        click.option(
            "--drain-timeout",
            type=values.duration,
            metavar="DURATION",
            help="How long a drain waits for what runs; systemd waits 30 s longer.",
        ),
        click.option("--name", metavar="NAME", help="Name of the worker."),
        click.option(
            "--import",
            "imports",
            multiple=True,
            type=values.module,
            metavar="MODULE",
            help="Module or ./file.py whose handlers to load; repeatable.",
        ),
        click.option("--concurrency", type=click.IntRange(1, 10_000), metavar="N", help="Slots per process."),
        click.option("--processes", type=click.IntRange(1, 1024), metavar="N", help="Processes."),
        click.option(
            "--names",
            multiple=True,
            metavar="PATTERN",
            help="Claim only such names, e.g. 'billing.%'; repeatable.",
        ),
        click.option("--queues", metavar="Q[:N],...", help="Queues to serve."),
    ):
        function = option(function)
    return function


def _directory(function: F) -> F:
    return click.option(
        "--directory",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Where the unit lies, when not where this systemd looks; systemd is then told nothing.",
    )(function)


@click.command("print", cls=Command, epilog=_PRINT_EPILOG)
@_worker
@_which
def print_(*, template: bool, user: bool, **worker: Any) -> int:
    """Print the unit for this installation."""
    click.echo(_rendered(worker, template=template, user=user), nl=False)
    return failures.COMPLETED


@click.command(cls=Command, epilog=_INSTALL_EPILOG)
@_worker
@_which
@_directory
@click.option("--force", is_flag=True, help="Overwrite a unit that differs.")
@output_option
def install(
    *, template: bool, user: bool, directory: Path | None, force: bool, output: str, **worker: Any
) -> int:
    """Write the unit to where systemd finds it."""
    if directory is None:
        systemd.require()
    text = _rendered(worker, template=template, user=user)
    path = _path(directory, template=template, user=user)
    found = systemd.read(path)
    if found not in (None, text) and not force:
        raise NotPossible(
            f"{path} is there already and differs; nothing was written",
            hint="--force overwrites it; changes of your own belong in a drop-in (docs/systemd.md)",
        )
    if found != text:
        systemd.write(path, text)
    told = directory is None and systemd.runs()
    if told:
        systemd.control("daemon-reload", user=user)
    _show(path, "unchanged" if found == text else "installed", output)
    if directory is None and not told:
        failures.say("systemd does not run here: it reads the unit when it starts")
    failures.say(_next(template=template, user=user))
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="\b\nExamples:\n  sudo trib service uninstall\n  trib service uninstall --user --template",
)
@_which
@_directory
@output_option
def uninstall(*, template: bool, user: bool, directory: Path | None, output: str) -> int:
    """Stop and remove what was installed."""
    path = _path(directory, template=template, user=user)
    if not path.exists() and not path.is_symlink():
        _show(path, "absent", output)
        return failures.COMPLETED
    told = directory is None and systemd.runs()
    running = path.name.replace("@.", "@*.")
    if told:
        failures.say("stopping: what runs is finished first")
        systemd.control("stop", running, user=user)
        systemd.control("disable", path.name, user=user)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise systemd.refused("remove", path, error) from error
    if told:
        systemd.control("daemon-reload", user=user)
        # one that failed would stay in the lists of systemd without its file; one that did not is refused
        with suppress(NotPossible):
            systemd.control("reset-failed", running, user=user)
    _show(path, "removed", output)
    return failures.COMPLETED


def _path(directory: Path | None, *, template: bool, user: bool) -> Path:
    return (directory or systemd.folder(user=user)) / (units.TEMPLATE if template else units.SERVICE)


def _rendered(worker: dict[str, Any], *, template: bool, user: bool) -> str:
    """Return the unit; what keeps its service from starting is warned of.

    Raises:
        ConfigError: an option cannot be part of a unit, or two exclude each other.
    """
    shared: dict[str, Any] = click.get_current_context().ensure_object(Shared).flags
    if "database_url" in shared:
        raise ConfigError(
            "a URL does not belong in a unit, which everybody may read",
            hint=f"write it to {_credential(user=user)}; `trib service install` says how",
        )
    if template and worker["queues"]:
        raise ConfigError(
            "--queues and --template exclude each other",
            hint="what stands behind the @ names the queue: trib-worker@media.service",
        )
    if worker["queues"] is not None:  # what is malformed is found now, not by the service
        parse_queues(part.strip() for part in worker["queues"].split(",") if part.strip())
    files = [Path(name).expanduser().resolve() for name in worker["imports"] if values.is_file(name)]
    paths = reach.needed(files)
    text = units.render(
        units.TEMPLATE if template else units.SERVICE,
        units.Installation(
            program=_program(),
            arguments=_arguments(worker, shared),
            user=user,
            below_home=not user and reach.below_home(paths),
            drain_timeout=worker["drain_timeout"],
        ),
    )
    if not user and (found := reach.obstacles(paths)):
        failures.say_warnings(found)
        failures.say(
            "install it in a virtual environment below /opt, or use --user for a service of your own"
        )
    return text


def _program() -> tuple[str, ...]:
    """Return how this ``trib`` is started: its own script, or the interpreter with the module."""
    python = Path(sys.executable).absolute()
    script = python.with_name("trib")
    return (str(script),) if script.is_file() else (str(python), "-m", "tributary_daemon")


def _arguments(worker: dict[str, Any], shared: dict[str, Any]) -> list[str]:
    """Return what stands behind ``trib worker`` in the unit, with the paths made absolute."""
    found: list[str] = []
    for name in ("queues", "names", "processes", "concurrency", "imports", "name"):
        given = worker[name] if isinstance(worker[name], tuple) else (worker[name],)
        option = "--import" if name == "imports" else f"--{name}"
        for value in given:
            if value is not None:
                found += [option, values.absolute(value) if name == "imports" else str(value)]
    if worker["drain_timeout"] is not None:
        found += ["--drain-timeout", f"{worker['drain_timeout']:g}s"]
    if worker["enable_shell"]:
        found.append("--enable-shell")
    if "tenant" in shared:
        found += ["--tenant", shared["tenant"]]
    if "home" in shared:
        found += ["--home", str(Path(shared["home"]).expanduser().absolute())]
    if "auto_migrate" in shared:
        found.append("--auto-migrate" if shared["auto_migrate"] else "--no-auto-migrate")
    return found


def _credential(*, user: bool) -> str:
    return "~/.config/tributary/database_url" if user else "/etc/tributary/database_url"


def _show(path: Path, state: str, output: str) -> None:
    if state == "absent":
        said = line(f"nothing to remove: there is no {path}")
    else:
        said = line(Span(state, "good"), "  ", Span(str(path), "name"))
    show(View({"path": str(path), "state": state}, [str(path)], lambda: [Lines((said,))]), output)


def _next(*, template: bool, user: bool) -> str:
    """Return the commands that are left to do."""
    unit = "trib-worker@default" if template else "trib-worker"
    control, root = ("systemctl --user", "") if user else ("systemctl", "sudo ")
    file = _credential(user=user)
    steps = [f"{root}{control} enable --now {unit}", f"{control} status {unit}"]
    if user:
        steps.append("loginctl enable-linger   # it runs without a login, too")
    if not os.access(Path(file).expanduser(), os.F_OK):  # a folder that is closed to us counts as empty
        steps = [
            f"{root}install -D -m 600 /dev/null {file}",
            f"{root}${{EDITOR:-vi}} {file}   # postgresql://USER:PASSWORD@HOST/DATABASE",
            *steps,
        ]
    return "\n".join(["next:", *(f"  {step}" for step in steps)])
