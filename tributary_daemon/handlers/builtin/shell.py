"""`trib.shell.v1`, the handler behind `run:` steps; not registered unless a worker's operator allows shell.

A script runs by ``bash --noprofile --norc -eo pipefail``, or by ``/bin/sh -e`` where there is no bash. It
gets PATH, HOME, LANG and TZ, its own ``env`` and ``TRIB_*``; nothing else of the worker's environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from tributary_daemon.errors import Abort, ShellFailed
from tributary_daemon.handlers.builtin.outputs import read_outputs
from tributary_daemon.handlers.builtin.subprocesses import TAIL_BYTES, Ended, run_group
from tributary_daemon.handlers.registry import Handler, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.handlers.step import Step

NAME: Final = "trib.shell.v1"
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TZ")
_SHOWN: Final = 2_000

EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Script(BaseModel):
    """Payload of `trib.shell.v1`: the script and its own variables; values that are no text become JSON."""

    model_config = ConfigDict(extra="forbid")

    run: str
    env: dict[EnvironmentName, Any] = {}


def add_to(registry: Registry, *, directory: str | None = None) -> None:
    """Make shell steps possible in a worker.

    Args:
        registry: of the worker.
        directory: where scripts run; a scratch directory each, removed afterwards, if omitted.
    """

    async def shell(script: Script, step: Step) -> dict[str, str]:
        return await _run(script, step, directory)

    registry.add(Handler(name=NAME, declared=shell, is_async=True, description="runs a shell script"))


async def _run(script: Script, step: Step, directory: str | None) -> dict[str, str]:
    scratch = tempfile.mkdtemp(prefix="trib-step-")
    try:
        command, environment, output = _prepare(script, step, scratch)
        try:
            ended = await run_group(
                command, environment, directory or str(Path(scratch, "work")), started=step.own_group
            )
        except OSError as error:
            raise Abort(f"the script cannot be started: {error.strerror or error}") from error
        _log(step, ended)
        if ended.code != 0:
            raise ShellFailed(_message(ended), ended.code)
        return read_outputs(output)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _prepare(script: Script, step: Step, scratch: str) -> tuple[list[str], dict[str, str], Path]:
    """Write the script down; return the command, its environment and the file for its outputs."""
    Path(scratch, "work").mkdir()
    file, output = Path(scratch, "script.sh"), Path(scratch, "output")
    file.write_text(script.run, encoding="utf-8")
    output.touch()
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment.setdefault("PATH", os.defpath)
    environment |= {name: as_text(value) for name, value in script.env.items()}
    environment |= {
        "TRIB_RUN_ID": step.run_id,
        "TRIB_STEP_ID": step.id,
        "TRIB_ATTEMPT": str(step.attempt),
        "TRIB_OUTPUT": str(output),
        **_inputs(step.inputs),
    }
    bash = shutil.which("bash")
    shell = [bash, "--noprofile", "--norc", "-eo", "pipefail"] if bash else ["/bin/sh", "-e"]
    return [*shell, str(file)], environment, output


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


def _log(step: Step, ended: Ended) -> None:
    for stream, text in (("stdout", ended.stdout), ("stderr", ended.stderr)):
        if text:
            step.log.info("output", stream=stream, text=text, cut=len(text.encode()) >= TAIL_BYTES)


def _message(ended: Ended) -> str:
    how = f"exit code {ended.code}" if ended.code > 0 else f"killed by signal {-ended.code}"
    said = (ended.stderr.strip() or ended.stdout.strip())[-_SHOWN:]
    return f"{how}: {said}" if said else how
