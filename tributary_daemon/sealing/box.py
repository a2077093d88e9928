"""Values as they come from the database, some of them sealed: `Box` until somebody opens it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from tributary_daemon.errors import EncryptionError, KeyMissing, NotAuthentic
from tributary_daemon.sealing.envelope import BROKEN, HIDDEN, TEXT_TOKEN, Origin, split, token_of
from tributary_daemon.sealing.ring import missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.sealing.ring import Opened, Ring

    Path = tuple[str | int, ...]
    Admits = Callable[[Origin, Path], bool]
    """Whether a value of that origin may stand at that path of what was read."""

MARK: Final = b"$sealed"


class Box:
    """A JSON value with something sealed in it; what is not opened is seen by nobody."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return HIDDEN


class Hidden(str):
    """The word in the place of a value that cannot be opened."""

    __slots__ = ("error",)
    error: EncryptionError

    def __new__(cls, error: EncryptionError) -> Self:
        """Return it for why that cannot be."""
        made = super().__new__(cls, HIDDEN if isinstance(error, KeyMissing) else BROKEN)
        made.error = error
        return made


def loads(data: bytes | str) -> Any:
    """Read JSON as psycopg hands it over; what holds something sealed comes in a `Box`."""
    raw = data.encode() if isinstance(data, str) else bytes(data)
    value = json.loads(raw)
    return Box(value) if MARK in raw else value


def opened(value: Any, ring: Ring | None, admits: Admits) -> Any:
    """Return a value with all in it opened.

    Raises:
        KeyMissing: a key is not at hand.
        NotAuthentic: something was changed, or moved here from another place.
    """
    return _walk(value.value, (), _opener(ring, admits)) if isinstance(value, Box) else value


def shown(value: Any, ring: Ring | None, admits: Admits) -> Any:
    """Return a value as it is shown: what cannot be opened is told by a word in its place."""
    if not isinstance(value, Box):
        return value
    opener = _opener(ring, admits)

    def show(token: str, path: Path) -> Any:
        try:
            return opener(token, path)
        except EncryptionError as error:
            return Hidden(error)

    return _walk(value.value, (), show)


def shown_text(text: str | None, ring: Ring | None, admits: Admits) -> str | None:
    """Return a text column as it is shown."""
    if text is None or "$sealed{" not in text:
        return text
    return str(shown(Box(text), ring, admits))


def origins(value: Any) -> set[Origin]:
    """Return the places that the tokens in a value were sealed for."""
    found: set[Origin] = set()

    def note(token: str, _path: Path) -> str:
        # of what is no token whoever opens it says so
        with suppress(EncryptionError):
            found.add(split(token).origin)
        return "null"

    if isinstance(value, Box):
        _walk(value.value, (), note)
    return found


def _opener(ring: Ring | None, admits: Admits) -> Callable[[str, Path], Any]:
    def open_(token: str, path: Path) -> Any:
        if ring is None:
            raise missing(split(token).key)
        found: Opened = ring.open(token)
        if not admits(found.origin, path):
            raise moved(found.origin)
        return found.text

    return open_


def moved(origin: Origin) -> EncryptionError:
    """Return the error for a value that does not stand where it was sealed for."""
    return NotAuthentic(
        f"an encrypted value stands in another place than the one it was written for (run {origin.run})",
        hint="somebody has moved it in the database; put it back",
    )


def _walk(value: Any, path: Path, open_: Callable[[str, Path], Any]) -> Any:
    match value:
        case dict():
            if (token := token_of(value)) is not None:
                text = open_(token, path)
                return text if isinstance(text, Hidden) else json.loads(text)
            return {name: _walk(part, (*path, name), open_) for name, part in value.items()}
        case list():
            return [_walk(part, (*path, index), open_) for index, part in enumerate(value)]
        case str() if "$sealed{" in value:
            return TEXT_TOKEN.sub(lambda found: str(open_(found[1], path)), value)
    return value
