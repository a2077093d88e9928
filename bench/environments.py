"""An environment of its own for every peer, with exactly pinned versions, made on first use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE / ".environments"
REQUIREMENTS = HERE / "peers" / "requirements"
NODE = HERE / "peers" / "graphile"
_PATIENCE = 600.0  # seconds


class UnavailableError(Exception):
    """A peer cannot be measured here; the text says why."""


def interpreter(name: str) -> Path:
    """Return the Python of the environment ``name``, which requirements/NAME.txt describes.

    Raises:
        UnavailableError: it could not be installed.
    """
    wanted = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    home = HOME / name
    python = home / "bin" / "python"
    if _made(home, wanted):
        return python
    print(f"making the environment of {name} ...", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS / f"{name}.txt")])
    _mark(home, wanted)
    return python


def node() -> tuple[Path, Path]:
    """Return the node program and the folder of graphile-worker's driver, its packages installed.

    Raises:
        UnavailableError: they could not be installed.
    """
    programs = interpreter("graphile").parent
    home = HOME / "graphile" / "npm"
    home.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json", "drain.mjs"):
        shutil.copy(NODE / name, home / name)
    wanted = (NODE / "package-lock.json").read_text(encoding="utf-8")
    if not _made(home, wanted):
        # npm is a script that looks for node on the path
        install = f'PATH="{programs}:$PATH" npm ci --no-audit --no-fund'
        _run(["/bin/sh", "-c", install], cwd=home)
        _mark(home, wanted)
    return programs / "node", home


def _made(home: Path, wanted: str) -> bool:
    stamp = home / ".made"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted


def _mark(home: Path, wanted: str) -> None:
    (home / ".made").write_text(wanted, encoding="utf-8")


def _run(command: list[str], *, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"its environment could not be made: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise UnavailableError(f"its environment could not be made: {said[-1]}")
