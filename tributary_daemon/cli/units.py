"""Units for systemd: ``systemd/*.service``, made to fit one installation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import ConfigError, TributaryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE: Final = "trib-worker.service"
TEMPLATE: Final = "trib-worker@.service"

# What a user's own systemd has no right to: another account, and views of the file system and the kernel.
# There each of them is ignored at best, and ends the start with an error at worst.
_SYSTEM_ONLY: Final = frozenset(
    {
        "After", "Wants", "DynamicUser", "User", "StateDirectory", "ProtectSystem", "ProtectHome",
        "PrivateTmp", "PrivateDevices", "DevicePolicy", "CapabilityBoundingSet", "PrivateUsers",
        "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups",
        "ProtectClock", "ProtectHostname", "ProtectProc",
    }
)  # fmt: skip
_USERS_OWN: Final = {"WorkingDirectory": "%h", "WantedBy": "default.target"}
_SETTINGS, _USERS_SETTINGS = "/etc/tributary/", "%h/.config/tributary/"
_STOP_AFTER_DRAIN: Final = 30  # seconds that a worker has left to give back what runs
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_ESCAPES: Final = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r", "%": "%%"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a unit has to say about one installation.

    Attributes:
        program: path of ``trib``, or of Python with the arguments that make it ``trib``.
        arguments: what follows ``trib worker``, without ``--queues`` for a template.
        user: whether it is for the user's own systemd.
        below_home: whether the program, or a file of handlers, lies below a home directory.
        drain_timeout: seconds; None when the command line does not say.
    """

    program: Sequence[str]
    arguments: Sequence[str]
    user: bool = False
    below_home: bool = False
    drain_timeout: float | None = None


def source(name: str) -> str:
    """Return the text of a unit as it is shipped.

    Raises:
        TributaryError: the installation carries no units.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_systemd", package.parent / "systemd"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise TributaryError("this installation has no units for systemd", hint="reinstall tributary-daemon")


def render(name: str, installation: Installation) -> str:
    """Return the unit ``name`` for one installation.

    Paragraphs are taken from the shipped file one by one: a line may get another value or go, and a
    comment goes with the last line that it speaks of.

    Raises:
        ConfigError: a word of the command line cannot stand in a unit.
        TributaryError: the installation carries no units.
    """
    _, *paragraphs = source(name).rstrip("\n").split("\n\n")
    values = _values(name, installation)
    kept = [_head(name, user=installation.user)]
    for paragraph in paragraphs:
        lines = paragraph.split("\n")
        fitted = [line for text in lines if (line := _fit(text, installation, values)) is not None]
        if any(not line.startswith("#") for line in fitted):
            kept.append("\n".join(fitted))
    return "\n\n".join(kept) + "\n"


def quote(word: str, *, program: bool = False) -> str:
    """Return ``word`` as systemd reads it back from a command line in a unit.

    Args:
        word: any text that a command line can hold.
        program: it is the first word, in whose path no variable is replaced.

    Raises:
        ConfigError: it holds what is no text.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{word!r} cannot stand in a unit: it is not UTF-8", hint="rename what it names"
        ) from None
    if _PLAIN.fullmatch(word) and not (program and word[0] in "@-:+"):
        return word
    return '"' + "".join(_escaped(character, program=program) for character in word) + '"'


def _escaped(character: str, *, program: bool) -> str:
    if character == "$" and not program:
        return "$$"
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\x{ord(character):02x}" if character < " " or character == "\x7f" else character


def _values(name: str, installation: Installation) -> Mapping[str, str]:
    """Return the values that differ from the shipped ones."""
    first, *rest = installation.program
    served = ["--queues %i"] if name == TEMPLATE else []
    words = [quote(first, program=True), *map(quote, rest), "worker", *served]
    values = {"ExecStart": " ".join([*words, *map(quote, installation.arguments)])}
    if installation.drain_timeout is not None:
        values["TimeoutStopSec"] = f"{installation.drain_timeout + _STOP_AFTER_DRAIN:g}"
    if installation.below_home:
        values["ProtectHome"] = "read-only"
    return {**values, **_USERS_OWN} if installation.user else values


def _fit(line: str, installation: Installation, values: Mapping[str, str]) -> str | None:
    """Return a line as it shall be, None when it goes."""
    key, equals, value = line.partition("=")
    if line.startswith("#") or not equals:
        return line
    if installation.user:
        if key in _SYSTEM_ONLY or value.startswith("TRIB_HOME="):
            return None
        value = value.replace(_SETTINGS, _USERS_SETTINGS)
    return f"{key}={values.get(key, value)}"


def _head(name: str, *, user: bool) -> str:
    edit = f"systemctl{' --user' if user else ''} edit {name.removesuffix('.service')}"
    return f"# A worker as a service, written by `trib service`. Keep changes in a drop-in: `{edit}`"
