"""Values of settings: parsed from text or TOML, shown without their passwords."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations
from tributary_daemon.model.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULTS = ("queue", "priority", "max_attempts", "timeout", "retry")
"""Options that ``[defaults]`` sets: the level ``config`` of a step's options."""

_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
OFF = "off"
"""No step cache: each step runs."""
_CACHES = ("postgres", "memory", OFF)
_CACHE_URLS = ("redis", "rediss", "mysql", "mariadb", "sqlite")
_LAST_PORT = 65_535
_MOST_SHARDS = 4096
# libpq takes ? and # in a password as they are, so everything up to the last @ may belong to it
_MASKED_URL = re.compile(r"(?P<head>[a-z][a-z0-9+]*://[^/?#\s:@]*:)\S*(?P<tail>@)", re.IGNORECASE)
_MASKED_KEY = re.compile(
    r"(?P<head>\b(?:password|sslpassword|oauth_client_secret|scram_(?:client|server)_key)\s*=\s*)"
    r"(?:'(?:[^'\\]|\\.)*'|[^\s&]+)",
    re.IGNORECASE,
)


class Refused(Exception):  # noqa: N818 - becomes a ConfigError where the source is known
    """A value does not fit its setting."""


def mask(text: str) -> str:
    """Return ``text`` with the passwords of URLs and libpq strings replaced by ``***``."""
    text = _MASKED_URL.sub(r"\g<head>***\g<tail>", text)
    return _MASKED_KEY.sub(r"\g<head>***", text)


def text(value: Any) -> str:
    """Parse text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise Refused("text is expected")
    try:
        value.encode()
    except UnicodeEncodeError:
        # of a variable or an argument whose bytes are none
        raise Refused("it is not UTF-8") from None
    return value.strip()


def flag(value: Any) -> bool:
    """Parse true or false, in the words people use."""
    if isinstance(value, bool):
        return value
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    try:
        return words[str(value).strip().lower()]
    except KeyError:
        raise Refused("true or false is expected") from None


def whole(low: int, high: int) -> Callable[[Any], int]:
    """Return a parser of whole numbers from ``low`` to ``high``."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Refused("a whole number is expected")
        try:
            number = int(value)
        except ValueError:
            raise Refused("a whole number is expected") from None
        if not low <= number <= high:
            # not the number itself, which may have thousands of digits
            raise Refused(
                f"{str(value)[:20] if abs(number) < 1 << 63 else 'it'} is not between {low} and {high}"
            )
        return number

    return parse


def duration(low: float = 0.0) -> Callable[[Any], float]:
    """Return a parser of durations of at least ``low`` seconds."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Refused("a duration such as 30s is expected")
        try:
            result = durations.seconds(value)
        except InvalidInput as error:
            raise Refused(f"{error.message} ({error.hint})") from None
        if result < low:
            raise Refused(f"{value!r} is below {durations.text(low)}")
        return result

    return parse


def retention(value: Any) -> float | None:
    """Parse for how long something is kept: a duration of at least a minute with its unit, or ``forever``."""
    if value == "forever":
        return None
    if not isinstance(value, str) or value.strip().isdecimal():
        # elsewhere seconds are meant; who means days here would lose all but the last ones
        raise Refused(f"{value} has no unit, write {value}d for days")
    return duration(60.0)(value)


def names(value: Any) -> tuple[str, ...]:
    """Parse a list of names, or names joined by commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise Refused("a list of names, or names joined by commas, is expected")
    return tuple(part.strip() for part in parts if part.strip())


def hooks(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Parse the tables ``[[hooks]]``, or names of hooks joined by commas.

    What the keys of each mean is for the hook to say.
    """
    entries = [{"use": part} for part in names(value)] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple):
        raise Refused("tables [[hooks]], or names joined by commas, are expected")
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise Refused(f"hook {place} is no table; write [[hooks]] and under it use = ...")
        if not isinstance(entry.get("use"), str) or not entry["use"].strip():
            raise Refused(f'hook {place} does not say what to use, e.g. use = "validation"')
        try:
            json.dumps(entry, allow_nan=False)
        except (TypeError, ValueError):
            # they are told to other processes
            raise Refused(
                f"hook {place} ({entry['use']}) holds a date, a time, nan or inf; write text"
            ) from None
    return tuple(entries)


EVERY, SPREAD = "all", "auto"
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)


def shards(value: Any) -> str:
    """Parse which shards a worker serves: ``all``, ``auto``, or numbers like ``0-3,7``."""
    written = text(value).replace(" ", "")
    if written not in (EVERY, SPREAD):
        for part in written.split(","):
            found = _RANGE.fullmatch(part)
            if found is None or not int(found[1]) <= int(found[2] or found[1]) < _MOST_SHARDS:
                raise Refused("all, auto, or numbers of shards like 0-3,7 are expected")
    return written


def shard_numbers(written: str) -> tuple[int, ...] | None:
    """Return the numbers that `shards` has accepted; None for all."""
    if written in (EVERY, SPREAD):
        return None
    found: set[int] = set()
    for part in written.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))


def size(value: Any) -> int:
    """Parse bytes, or a size such as ``1MiB``."""
    if not isinstance(value, int | str) or (isinstance(value, int) and abs(value) >= 1 << 63):
        raise Refused("a size such as 1MiB, or bytes, is expected")
    match = re.fullmatch(r"([0-9]{1,18})\s*(B|KiB|MiB|GiB)?", str(value).strip())
    if isinstance(value, bool) or match is None:
        raise Refused("a size such as 1MiB, or bytes, is expected")
    return int(match[1]) * _UNITS[match[2] or "B"]


def size_or_none(low: int) -> Callable[[Any], int]:
    """Return a parser of sizes of at least ``low`` bytes, or 0."""

    def parse(value: Any) -> int:
        found = size(value)
        if 0 < found < low:
            raise Refused(f"{value} is below {low:,} bytes; 0 for none")
        return found

    return parse


def address(value: Any) -> str:
    """Parse an address to listen on, ``HOST:PORT``; it stays text."""
    written = text(value)
    host_and_port(written)
    return written


def host_and_port(written: str) -> tuple[str, int]:
    """Return the parts of ``HOST:PORT`` or ``[HOST]:PORT``.

    Raises:
        Refused: it is neither.
    """
    match = re.fullmatch(
        r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>[0-9]{1,5})", written
    )
    if match is None or int(match["port"]) > _LAST_PORT:
        raise Refused("HOST:PORT is expected, e.g. 127.0.0.1:8080 or [::1]:8080; port 0 for a free one")
    return match["six"] or match["host"], int(match["port"])


def choice(*words: str) -> Callable[[Any], str]:
    """Return a parser of one of ``words``."""

    def parse(value: Any) -> str:
        if value not in words:
            raise Refused(f"one of {', '.join(words)} is expected")
        return str(value)

    return parse


def cache(value: Any) -> str:
    """Parse where results of steps are kept: a word or a URL."""
    given = text(value)
    scheme, separator, rest = given.partition("://")
    if given in _CACHES or (separator and rest and scheme in _CACHE_URLS):
        return given
    urls = ", ".join(f"{known}://…" for known in _CACHE_URLS)
    raise Refused(f"{', '.join(_CACHES)}, or a URL is expected: {urls}")


def path(value: Any) -> Path:
    """Parse a path; ``~`` is the user's home."""
    written = value if isinstance(value, Path) else Path(text(value))
    try:
        return written.expanduser()
    except RuntimeError:
        raise Refused(f"{written.parts[0]} is nobody's home; ~ alone is yours") from None


def option_defaults(value: Any) -> Mapping[str, Any]:
    """Parse the table ``[defaults]``."""
    if not isinstance(value, dict):
        raise Refused("a table is expected")
    parsers: dict[str, Callable[[Any], Any]] = {
        "queue": text,
        "priority": whole(-32_768, 32_767),
        "max_attempts": whole(1, 32_767),
        "timeout": duration(0.001),
        "retry": _retry,
    }
    result = {}
    for key, item in value.items():
        if key not in parsers:
            raise Refused(f"unknown option {key!r}; {nearest(key, DEFAULTS)}")
        try:
            result[key] = parsers[key](item)
        except Refused as error:
            raise Refused(f"{key}: {error}") from None
    return MappingProxyType(result)


def _retry(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refused('a table is expected, e.g. { backoff = "fixed", delay = "5s" }')
    known = [item.name for item in fields(Retry)]
    for key in value:
        if key not in known:
            raise Refused(f"unknown key {key!r}; {nearest(key, known)}")
    try:
        checked = Retry(**value).to_json()
        # only what was written: each kind of work completes it with its own policy
        return MappingProxyType({key: checked[key] for key in value if key in checked})
    except (InvalidInput, TypeError) as error:
        raise Refused(str(error).partition("\n")[0]) from None


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Return ``did you mean 'x'? known: x, y`` for a misspelt word."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return (f"did you mean '{near[0]}'? " if near else "") + f"known: {', '.join(sorted(known))}"
