"""Types of options and arguments: durations, times, modules, ``k=v`` pairs, JSON from text, file or stdin."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Iterable


def duration(text: str) -> float:
    """Return the seconds of a duration such as ``5m``."""
    try:
        return durations.seconds(text)
    except InvalidInput as error:
        raise click.BadParameter(f"{error.message}; {error.hint}") from None


def age(text: str) -> float:
    """Return the seconds of a duration that says what may be removed: its unit must be written.

    A bare number is seconds elsewhere; who means days here would lose all but the last ones.
    """
    if text.strip().isdecimal():
        raise click.BadParameter(f"{text!r} has no unit; write {text}d for days, {text}h for hours")
    return duration(text)


def moment(text: str) -> datetime:
    """Return a time in RFC 3339, with its offset from UTC, as an aware datetime."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time; write 2026-12-24T18:00:00Z") from None
    if at.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no offset from UTC; write {text}Z or {text}+01:00")
    return at


def since(text: str) -> datetime:
    """Return a time, or now less a duration, as an aware datetime."""
    try:
        seconds = durations.seconds(text)
    except InvalidInput:
        return moment(text)
    return datetime.now(UTC) - timedelta(seconds=seconds)


def at_once(text: str) -> int | Literal["none"]:
    """Return how many attempts run at once, or that there is no limit."""
    if text.strip().lower() == "none":
        return "none"
    if not re.fullmatch(r"0*[1-9][0-9]{0,9}", text) or int(text) >= 1 << 31:
        raise click.BadParameter(f"{text!r} is no number of attempts at once; write 4, or none for no limit")
    return int(text)


def rate(text: str) -> str:
    """Return a number of attempts in a span of time as SQL takes it: ``100/s``, ``5000/h``, or ``none``."""
    text = text.strip().lower()
    if text != "none" and not re.fullmatch(r"0*[1-9][0-9]{0,8}/([smhd]|[1-9][0-9]{0,5}s)", text):
        raise click.BadParameter(f"{text!r} is not a rate; write 100/s, 600/m, 5000/h, 20/d, or none")
    return text


def module(text: str) -> str:
    """Return the name of a module, or the path of a Python file that exists."""
    try:
        missing = is_file(text) and not Path(text).expanduser().is_file()
    except RuntimeError:  # ~NAME, where nobody has that name
        missing = True
    if missing:
        raise click.BadParameter(f"there is no file {text}; paths are relative to the working directory")
    return text


def is_file(module: str) -> bool:
    """Return whether a module is named by the path of its file."""
    return module.endswith(".py") or "/" in module


def absolute(module: str) -> str:
    """Return a module so that it means the same in every working directory."""
    return str(Path(module).expanduser().absolute()) if is_file(module) else module


def queues(text: str) -> str:
    r"""Return a list of queues; ``\x2c`` is a comma, as the instance of a unit writes it (systemd-escape)."""
    parts = re.split(r"((?:\\x[0-9a-f]{2})+)", text)
    # one run of escapes may be one character of several bytes
    return "".join(
        bytes.fromhex(part.replace("\\x", "")).decode(errors="replace") if number % 2 else part
        for number, part in enumerate(parts)
    )


def pair(text: str) -> tuple[str, str]:
    """Return key and value of ``key=value``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.BadParameter(f"{text!r} is not of the form key=value")
    return key.strip(), value


def mapping(pairs: Iterable[tuple[str, str]], option: str) -> dict[str, str]:
    """Return pairs as a mapping.

    Raises:
        click.BadParameter: a key is given twice.
    """
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            raise click.BadParameter(f"'{key}' is given twice", param_hint=f"'{option}'")
        found[key] = value
    return found


def json_value(text: str, option: str) -> Any:
    """Return the JSON value that ``text`` is, or that ``@file`` or ``-`` (standard input) holds.

    Raises:
        click.BadParameter: the file cannot be read.
        InvalidInput: it is not JSON; the message says where it stops being so.
    """
    source = option
    if text == "-":
        text, source = sys.stdin.read(), "standard input"
    elif text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(
                f"cannot read {source}: {_reason(error)}", param_hint=f"'{option}'"
            ) from None
    try:
        return json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"{source} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            hint=f"""quote it: {option} '{{"n": 1}}', or put it in a file: {option} @file.json""",
        ) from None
    except ValueError:
        # Python reads no longer ones
        raise InvalidInput(
            f"{source} holds a number of more than 4,300 digits", hint="store it as a string"
        ) from None
    except RecursionError:
        raise InvalidInput(f"{source} is nested too deeply", hint="at most 200 levels are stored") from None


def _constant(word: str) -> NoReturn:
    raise InvalidInput(f"{word} is not a JSON value", hint="use null, or leave it out")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is not UTF-8"
