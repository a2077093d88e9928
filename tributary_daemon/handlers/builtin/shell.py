"""`trib.shell.v1`, the handler behind `run:` steps; not registered unless a worker's operator allows shell.

A script runs by ``bash --noprofile --norc -eo pipefail``, or by ``/bin/sh -e`` where there is no bash, unless
its step names a shell. It gets PATH, HOME, LANG and TZ, its own ``env`` and ``TRIB_*``; nothing else of the
worker's environment. What it writes is kept with the attempt.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from tributary_daemon.errors import Abort, ShellFailed
from tributary_daemon.handlers.builtin.outputs import read_outputs
from tributary_daemon.handlers.builtin.scratch import scratch, sweep
from tributary_daemon.handlers.builtin.subprocesses import Ended, run_group
from tributary_daemon.handlers.registry import Handler, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.handlers.step import Step

NAME: Final = "trib.shell.v1"
PLACE: Final = "{0}"
"""Stands for the script's file in a ``shell`` that is a command."""
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")
_SHOWN_LINES: Final = 20
_SHOWN: Final = 2_000
_STRICT_BASH: Final = ("--noprofile", "--norc", "-eo", "pipefail")

EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Script(BaseModel):
    """Payload of `trib.shell.v1`.

    Attributes:
        run: the script.
        env: its own variables; values that are no text become JSON.
        dir: where it runs: absolute, or below the directory where it would run without.
        shell: ``bash``, ``sh``, ``python``, or a command that gets the script's file in the place of ``{0}``,
            else at its end.
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    env: dict[EnvironmentName, Any] = {}
    dir: str | None = None
    shell: str | None = None


def add_to(registry: Registry, *, directory: str | None = None) -> None:
    """Make shell steps possible in a worker; what an earlier one has left behind is removed.

    Args:
        registry: of the worker.
        directory: where scripts run; a scratch directory each, removed afterwards, if omitted.
    """

    async def shell(script: Script, step: Step) -> dict[str, str]:
        return await _run(script, step, directory)

    sweep()
    registry.add(Handler(name=NAME, declared=shell, is_async=True, description="runs a shell script"))


async def _run(script: Script, step: Step, directory: str | None) -> dict[str, str]:
    with scratch() as own:
        file, output, work = own / "script", own / "output", own / "work"
        work.mkdir()
        file.write_text(script.run, encoding="utf-8")
        output.touch()
        place = _directory(script.dir, directory or str(work))
        environment = _environment(script, step, output)
        command = command_of(script.shell, str(file), environment["PATH"])
        outputs = step.output("stdout"), step.output("stderr")
        try:
            ended = await run_group(command, environment, place, outputs=outputs, started=step.own_group)
        except OSError as error:
            raise Abort(f"the script cannot be started: {error.strerror or error}") from error
        if ended.code != 0:
            raise ShellFailed(_message(ended), ended.code)
        return read_outputs(output)


def _directory(wanted: str | None, base: str) -> str:
    if wanted is None:
        return base
    path = Path(base, wanted)
    if not path.is_dir():
        what = "is no directory" if path.exists() else "does not exist"
        raise Abort(f"the directory of the script {what}: {path}; make it first, or change `dir`")
    return str(path)


def command_of(shell: str | None, file: str, path: str) -> list[str]:
    """Return the command that runs a script.

    Args:
        shell: as the step names it; None for the usual one.
        file: of the script.
        path: where programs are looked for.

    Raises:
        Abort: there is no such program, or the words cannot be read.
    """
    match shell:
        case None:
            bash = shutil.which("bash", path=path)
            return [bash, *_STRICT_BASH, file] if bash else ["/bin/sh", "-e", file]
        case "bash":
            return [_found("bash", path), *_STRICT_BASH, file]
        case "sh":
            return ["/bin/sh", "-e", file]
        case "python":
            # that of the script's PATH, as at a prompt; the worker's own where there is none
            found = shutil.which("python3", path=path) or shutil.which("python", path=path)
            return [found or sys.executable, file]
    try:
        words = shlex.split(shell)
    except ValueError as error:
        raise Abort(f"the shell {shell!r} cannot be read: {error}") from error
    if not words:
        raise Abort("the shell is empty: write bash, sh, python, or a command such as /usr/bin/perl {0}")
    program, *rest = words
    arguments = [word.replace(PLACE, file) for word in rest]
    return [_found(program, path), *arguments, *([] if PLACE in shell else [file])]


def _found(program: str, path: str) -> str:
    found = shutil.which(program, path=path)
    if found is None:
        raise Abort(f"the shell {program!r} is not found on this worker: install it, or name another one")
    return found


def _environment(script: Script, step: Step, output: Path) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment.setdefault("PATH", os.defpath)
    environment |= {name: as_text(value) for name, value in script.env.items()}
    return environment | {
        **_inputs(step.inputs),
        "TRIB_RUN_ID": step.run_id,
        "TRIB_STEP": step.id,
        "TRIB_STEP_ID": step.id,
        "TRIB_ATTEMPT": str(step.attempt),
        "TRIB_OUTPUT": str(output),
    }


def as_text(value: Any) -> str:
    """Return a JSON value as a variable holds it: text as it is, null as nothing, all else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _inputs(inputs: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"TRIB_INPUT_{re.sub(r'[^A-Z0-9]', '_', name.upper())}": as_text(value)
        for name, value in inputs.items()
    }


def _message(ended: Ended) -> str:
    how = f"exit code {ended.code}" if ended.code > 0 else f"killed by signal {-ended.code}"
    said = _last_lines(ended.stderr) or _last_lines(ended.stdout)
    return f"{how}: {said}" if said else how


def _last_lines(text: str) -> str:
    """Return the last lines of a text, whole ones as far as they fit."""
    lines = text.strip().splitlines()[-_SHOWN_LINES:]
    while len(lines) > 1 and sum(map(len, lines)) + len(lines) > _SHOWN:
        del lines[0]
    return "\n".join(lines)[-_SHOWN:]
