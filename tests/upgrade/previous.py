"""The release before this one: what of it is recorded, and its tree, exported from the history of git.

``python -m tests.upgrade.previous COMMIT`` records another commit as that release (docs/decisions/0044).
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tributary_daemon.store.migrations import files
from tributary_daemon.store.migrations.functions import Functions

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("previous.toml")
_HEAD = "# The release before this one. Written by: python -m tests.upgrade.previous COMMIT\n"


@dataclass(frozen=True)
class Previous:
    """What is recorded of a release.

    Attributes:
        commit: its tree.
        functions: the digest of its functions.
        migrations: per file name a hash of what it held.
    """

    commit: str
    functions: str
    migrations: dict[str, str]

    @property
    def version(self) -> str:
        """The name of its last migration."""
        return max(self.migrations).partition(".")[0]


class NoHistoryError(Exception):
    """This is no clone with the commit of the release before."""


def read() -> Previous:
    """Return what is recorded."""
    return Previous(**tomllib.loads(RECORD.read_text(encoding="utf-8")))


def measure(tree: Path) -> tuple[str, dict[str, str]]:
    """Return the digest of a tree's functions, and the hashes of its migrations."""
    folder = tree / "sql" / "migrations"
    # as the migrator finds them, so that nothing else that lies there counts
    found = [file for each in files.find(folder) for file in (each.up, each.down, each.python) if file]
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(found)}
    return Functions(tree / "sql" / "functions", "tributary").digest, hashes


def export(commit: str, folder: Path) -> None:
    """Write the tree of a commit into a folder.

    Raises:
        NoHistoryError: git does not have it.
    """
    made = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "sql", "schemas", "systemd", "tributary_daemon"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    if made.returncode:
        raise NoHistoryError(
            f"git has no commit {commit}, the release before this one: {made.stderr.decode().strip()};"
            " a shallow clone is completed by `git fetch --unshallow`"
        )
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as tree:
        # Python 3.14 wants to be told, 3.11 knows it from 3.11.4 on
        tree.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))


def main(commit: str, scratch: Path) -> None:
    """Record a commit as the release before this one."""
    export(commit, scratch)
    functions, migrations = measure(scratch)
    lines = [f'commit = "{commit}"', f'functions = "{functions}"', "", "[migrations]"]
    lines += [f'"{name}" = "{checksum}"' for name, checksum in migrations.items()]
    RECORD.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        main(sys.argv[1], Path(made))
