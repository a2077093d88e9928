"""Settings that are secrets, from the credentials that systemd gives a service (``LoadCredential=``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

SETTINGS: Final = ("database_url", "listen_url", "cache", "encryption_keys")
"""Settings that a credential may give: those that hold passwords or keys."""


def read(environ: Mapping[str, str], known: Container[str] = ()) -> dict[str, str]:
    """Return the settings that stand in ``$CREDENTIALS_DIRECTORY``, each in a file of its name.

    Nothing stands there when the variable is unset, as everywhere outside of a service.

    Args:
        environ: the environment.
        known: settings that a nearer source gave; their files are not looked at.

    Raises:
        ConfigError: a file is there but cannot be read, is no text, or is not one line.
    """
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return {}
    wanted = [name for name in SETTINGS if name not in known]
    return {name: text for name in wanted if (text := _line(name, Path(directory) / name)) is not None}


def origin(name: str) -> str:
    """Return how a setting's source is shown when a credential gave it."""
    return f"credential {name}"


def _line(name: str, path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"cannot read the {origin(name)} at {path}: {error.strerror}",
            hint=f"LoadCredential={name}:FILE in the unit makes it readable; FILE itself may be root's",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the {origin(name)} at {path} is not UTF-8",
            hint="an encrypted file needs LoadCredentialEncrypted= instead of LoadCredential=",
        ) from error
    if name == "encryption_keys" and text:
        # one a line, as in a file of keys
        lines = (line.strip() for line in text.splitlines())
        return ",".join(line for line in lines if line and not line.startswith("#"))
    # its text is not shown: it is a secret, and not known to be a URL that could be masked
    if len(text.splitlines()) != 1:
        wrong = "holds more than one line" if text else "is empty"
        raise ConfigError(f"the {origin(name)} at {path} {wrong}", hint="write the URL alone into the file")
    return text
