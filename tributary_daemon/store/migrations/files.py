"""Migration files: found, checked, read and created.

``YYYYMMDDNNNNNN_name.up.sql`` with ``.down.sql`` beside it, or ``YYYYMMDDNNNNNN_name.py`` with
``up(connection)`` and ``down(connection)``. Bun's ``.tx.up.sql`` is read as ``.up.sql``: here every
migration is one transaction unless its first line says ``-- trib:no-transaction``.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from tributary_daemon.errors import InvalidInput, NotFound, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tributary_daemon.store.migrations.records import Direction

_FILE = re.compile(r"(?P<name>\d{14}_[a-z0-9][a-z0-9_]*)(?:(?:\.tx)?\.(?P<way>up|down)\.sql|\.py)")
_SPLIT = re.compile(r"^[ \t]*--[ \t]*bun:split[ \t\r]*$", re.MULTILINE)
_LOOSE = re.compile(r"^[ \t]*--[ \t]*trib:no-transaction[ \t]*$")
_WORDS = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
_SHAPE = "name files YYYYMMDDNNNNNN_words.up.sql, .down.sql or .py; `trib migrate create NAME` does it"

Kind = Literal["sql", "python"]


@dataclass(frozen=True, slots=True)
class Script:
    """One direction of a SQL migration.

    Attributes:
        text: the file.
        batches: its parts between ``--bun:split`` lines, each sent to the server at once.
        transaction: whether all batches run in one transaction.
    """

    text: str
    batches: tuple[str, ...]
    transaction: bool


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """A migration on disk; ``python`` is set or ``up`` is."""

    name: str
    up: Path | None = None
    down: Path | None = None
    python: Path | None = None
    checksum: str = field(default="", compare=False)

    @property
    def version(self) -> str:
        """Its 14 digits."""
        return self.name[:14]

    def script(self, direction: Direction) -> Script:
        """Read one direction of a SQL migration.

        Raises:
            SchemaError: there is no file for it.
        """
        path = self.up if direction == "up" else self.down
        if path is None:
            raise SchemaError(
                f"migration {self.name} has no {direction} file, so it cannot be rolled back",
                hint=f"write {self.name}.{direction}.sql beside it",
            )
        return parse(_read(path))


def parse(text: str) -> Script:
    """Split a file's text into batches and read its directive."""
    first = text.lstrip("\ufeff \t\r\n").partition("\n")[0].rstrip("\r")
    batches = tuple(part.strip() for part in _SPLIT.split(text) if _is_sql(part))
    return Script(text=text, batches=batches, transaction=not _LOOSE.match(first))


def _is_sql(part: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in part.splitlines())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"cannot read {path}: {error}", hint="migrations are UTF-8 text files") from error


def find(directory: Path) -> tuple[MigrationFile, ...]:
    """Return the migrations of ``directory``, oldest first.

    Raises:
        SchemaError: the directory is missing, a file is misnamed, or two share a version.
    """
    if not directory.is_dir():
        raise SchemaError(
            f"there is no migration directory {directory}", hint="check the path given by --dir"
        )
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix not in {".sql", ".py"} or path.name.startswith(("_", ".")):
            continue
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise SchemaError(f"{path} is not named as a migration", hint=_SHAPE)
        role = match["way"] or "python"
        files = found.setdefault(match["name"], {})
        if role in files:
            raise SchemaError(
                f"{files[role].name} and {path.name} are the same migration", hint="remove one of them"
            )
        files[role] = path
    migrations = tuple(_assemble(name, files) for name, files in sorted(found.items()))
    _check_versions(migrations)
    return migrations


def _assemble(name: str, files: dict[str, Path]) -> MigrationFile:
    if "python" in files and len(files) > 1:
        raise SchemaError(f"migration {name} exists as SQL and as Python", hint="remove one of them")
    if set(files) == {"down"}:
        raise SchemaError(f"migration {name} has a down file only", hint=f"write {name}.up.sql beside it")
    text = _read(files.get("python") or files["up"])
    return MigrationFile(
        name=name,
        up=files.get("up"),
        down=files.get("down"),
        python=files.get("python"),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
    )


def _check_versions(migrations: Sequence[MigrationFile]) -> None:
    for before, after in itertools.pairwise(migrations):
        if before.version == after.version:
            raise SchemaError(
                f"{before.name} and {after.name} share the version {after.version}",
                hint="give one of them a later number",
            )


def resolve(name: str, names: Iterable[str]) -> str:
    """Return the one of ``names`` that ``name`` means: itself, its digits, or its words.

    Raises:
        NotFound: none or several fit.
    """
    names = sorted(names)
    text = re.sub(r"(\.tx)?(\.(up|down))?\.(sql|py)$", "", name)
    if text in names:
        return text
    fitting = [known for known in names if text and (known.startswith(text) or known[15:] == text)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NotFound(f"'{name}' fits several migrations", hint=f"one of: {', '.join(fitting)}")
    near = difflib.get_close_matches(text, [*names, *(known[15:] for known in names)], n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise NotFound(f"there is no migration '{name}'", hint=f"{hint}known: {', '.join(names) or 'none'}")


_SQL_UP = """-- {name}: what it changes and why.
-- The whole file runs in one transaction. With `-- trib:no-transaction` as the first line it does not
-- (CREATE INDEX CONCURRENTLY needs that); a line `--bun:split` then separates what is sent at once.
"""
_SQL_DOWN = "-- {name}: undoes the up file.\n"
_PYTHON = '''"""{name}: what it changes and why."""

from psycopg import Connection

# False: each statement commits by itself.
transaction = True


def up(connection: Connection) -> None:
    """Apply."""


def down(connection: Connection) -> None:
    """Undo."""
'''


def create(name: str, kind: Kind, directory: Path) -> tuple[Path, ...]:
    """Write the empty files of a new migration; its number follows the newest one.

    Raises:
        InvalidInput: the name has other characters than a-z, 0-9 and underscores.
    """
    words = re.sub(r"[\s-]+", "_", name.strip().lower())
    if not _WORDS.fullmatch(words):
        raise InvalidInput(
            f"'{name}' cannot name a migration", hint="use words of a-z and 0-9, joined by underscores"
        )
    directory.mkdir(parents=True, exist_ok=True)
    newest = max((int(known.version) for known in find(directory)), default=0)
    stamp = int(datetime.now(tz=UTC).strftime("%Y%m%d%H%M%S"))
    full = f"{max(stamp, newest + 1):014d}_{words}"
    if kind == "python":
        contents = {f"{full}.py": _PYTHON}
    else:
        contents = {f"{full}.up.sql": _SQL_UP, f"{full}.down.sql": _SQL_DOWN}
    for file, text in contents.items():
        (directory / file).write_text(text.format(name=words), encoding="utf-8")
    return tuple(directory / file for file in contents)
