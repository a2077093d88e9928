"""The file behind ``$TRIB_OUTPUT``, in the format of GitHub's ``$GITHUB_OUTPUT``.

A line ``key=value``, or a value of several lines between ``key<<WORD`` and a line ``WORD``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES: Final = 1_048_576


class InvalidOutputError(Exception):
    """A script wrote something to ``$TRIB_OUTPUT`` that cannot be read."""


def read_outputs(file: Path) -> dict[str, str]:
    """Return what a script wrote to its output file, by key; the last value of a key counts.

    Raises:
        InvalidOutputError: larger than 1 MiB, not UTF-8, or not in the format; names the line.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InvalidOutputError("$TRIB_OUTPUT holds more than 1 MiB: write a file and pass its path")
        return parse_outputs(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidOutputError(f"$TRIB_OUTPUT is not UTF-8 text: {error}") from error
    except FileNotFoundError:
        return {}


def parse_outputs(text: str) -> dict[str, str]:
    """Return the outputs in a text by key.

    Raises:
        InvalidOutputError: a line is in neither form, or an end word is missing.
    """
    found: dict[str, str] = {}
    lines = iter(enumerate(text.split("\n"), start=1))
    for number, raw in lines:
        line = raw.removesuffix("\r")
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        name, marks, word = line.partition("<<")
        if marks and (not equals or len(name) < len(key)):
            _check_key(name, number)
            found[name] = _until(word, lines, name, number)
        elif equals:
            _check_key(key, number)
            found[key] = value
        else:
            raise InvalidOutputError(
                f"line {number} of $TRIB_OUTPUT is neither key=value nor key<<WORD: {line[:100]!r}"
            )
    return found


def _check_key(key: str, number: int) -> None:
    if not key.strip():
        raise InvalidOutputError(f"line {number} of $TRIB_OUTPUT has no key")


def _until(word: str, lines: Iterator[tuple[int, str]], name: str, start: int) -> str:
    if not word.strip():
        raise InvalidOutputError(f"line {start} of $TRIB_OUTPUT: write {name}<<WORD")
    value: list[str] = []
    for _, raw in lines:
        line = raw.removesuffix("\r")
        if line == word:
            return "\n".join(value)
        value.append(line)
    raise InvalidOutputError(
        f"$TRIB_OUTPUT: {name}<<{word} in line {start} is never closed by a line {word!r}"
    )
