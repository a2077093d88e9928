"""Named secrets, read in the worker that runs a step and never stored.

A secret ``db_password`` is looked for in this order: the environment (``TRIB_SECRET_DB_PASSWORD``), a file of
that name in the directory ``secrets_dir``, a credential of systemd of that name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tributary_daemon.config.credentials import SETTINGS
from tributary_daemon.errors import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX: Final = "TRIB_SECRET_"
LARGEST: Final = 65_536
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", re.ASCII)


def variable(name: str) -> str:
    """Return the environment variable of a secret."""
    return PREFIX + name.upper().replace("-", "_")


class Secrets:
    """The secrets of this worker. Each is read anew whenever it is asked for, so a file may be changed.

    Args:
        directory: ``secrets_dir``; None for no such directory.
        environ: the environment; ``CREDENTIALS_DIRECTORY`` in it leads to the credentials of a service.
    """

    def __init__(
        self, directory: Path | str | None = None, *, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._directory = None if directory is None else Path(directory)
        self._environ = environ

    def get(self, name: str) -> str:
        """Return a secret; one newline at the end of a file is not part of it.

        Raises:
            SecretMissing: it is nowhere, or cannot be read; the message says where was looked, never a value.
        """
        if not _NAME.fullmatch(name):
            raise SecretMissing(
                f"{name!r} is not the name of a secret", hint="letters, digits, `_` and `-`: db_password"
            )
        if value := self._environ.get(variable(name)):
            return value
        looked = [f"the environment variable {variable(name)}"]
        for place, path in self._files(name):
            looked.append(f"the {place} {path}")
            if (text := _read(name, path)) is not None:
                return text
        if self._directory is None:
            looked.append("a directory secrets_dir (not set)")
        raise SecretMissing(
            f"there is no secret '{name}' in this worker; looked at {', '.join(looked)}",
            hint=f"set {variable(name)} for the worker, or put a file '{name}' into TRIB_SECRETS_DIR",
        )

    def mapping(self, names: Iterable[str]) -> dict[str, str]:
        """Return several secrets by name.

        Raises:
            SecretMissing: for the first one that is missing.
        """
        return {name: self.get(name) for name in names}

    def _files(self, name: str) -> list[tuple[str, Path]]:
        files = []
        if self._directory is not None:
            files.append(("file", self._directory / name))
        credentials = self._environ.get("CREDENTIALS_DIRECTORY")
        # the worker's own settings are nothing for workflows
        if credentials and name not in SETTINGS:
            files.append(("credential", Path(credentials) / name))
        return files


def _read(name: str, path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SecretMissing(
            f"the secret '{name}' cannot be read from {path}: {error.strerror}",
            hint="the worker's user needs the right to read it",
        ) from error
    if len(data) > LARGEST:
        raise SecretMissing(
            f"the secret '{name}' in {path} is larger than {LARGEST:,} bytes",
            hint="keep large things in a file of its own, and its path or key in the secret",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretMissing(
            f"the secret '{name}' in {path} is not UTF-8 text", hint="write it as base64"
        ) from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretMissing(f"the secret '{name}' in {path} is empty", hint="write its value into the file")
    return text
