"""What a sealed value looks like: a token that names its key and the place it was sealed for.

``2.<key id>.<salt>.<field><run>.<tenant>.<step>.<nonce and ciphertext in base64>``. All before the last dot
is the associated data, so none of it can be changed. A JSON value is stored as ``{"$sealed": token}``, a part
of a text as ``$sealed{token}``.

The version before is still read: ``1.<key id>.<place in base64>.<nonce and ciphertext in base64>``.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from tributary_daemon.errors import KeyMissing, NotAuthentic

RESERVED: Final = "$sealed"
HIDDEN: Final = "<encrypted>"
"""What is shown in the place of a value whose key is not at hand."""
BROKEN: Final = "<not authentic>"
"""What is shown in the place of a value that was changed, or moved from another place."""
NOWHERE: Final = "00000000-0000-0000-0000-000000000000"
"""The run of what belongs to none: the inputs of schedules, results that any run may use."""

VERSION: Final = "2"
BY_RUN: Final = "1"
"""The version before, in which the id of the run is the salt."""
VALUE_HEAD: Final = '{"$sealed"'
TEXT_TOKEN: Final = re.compile(r"\$sealed\{([A-Za-z0-9._+/=-]+)\}")
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_RUN: Final = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = "[A-Za-z0-9_-]*|=[A-Za-z0-9+/]+=*"
_HEAD: Final = re.compile(
    rf"{VERSION}\.({KEY_ID.pattern})\.([A-Za-z0-9_-]{{16}})\.([a-z])({_RUN})\.({_NAME})\.({_NAME})"
)
_NEWER: Final = re.compile(rf"([3-9]|[1-9][0-9]+)\.{KEY_ID.pattern}\.")
_AS_IT_IS: Final = re.compile(r"[A-Za-z0-9_-]*")
_ID_BYTES: Final = 16
_ID_TEXT: Final = 36


class Field(StrEnum):
    """What of a place a value is."""

    PAYLOAD = "p"  # of an intent or step; of a run, whose step is 0: its inputs
    ITEM = "i"  # of a fan-out: STEP[KEY]
    CHILD = "n"  # inputs of the run that a step starts
    RESULT = "r"  # of an intent (step is empty), of STEP or STEP[KEY]; of a run that evaluates its own: empty
    ERROR = "e"
    PROGRESS = "g"
    CONDITION = "c"
    LINES = "l"
    SIGNAL = "s"
    ANSWER = "a"
    HISTORY = "h"
    UNDO = "u"
    PROMPT = "q"
    SCHEDULE = "z"
    CACHED = "k"  # a result in the step cache; step is its key


class Origin(NamedTuple):
    """The place that a value was sealed for.

    Attributes:
        tenant: whose it is; empty for nobody's in particular.
        run: id of the run or intent.
        step: ordinal or id of a step; what else it is, `Field` says.
        field: what it is there.
    """

    tenant: str
    run: str
    step: str
    field: Field


def canonical(run: str) -> str:
    """Return the id of a run as the database writes it."""
    run = run.lower()
    if len(run) != _ID_TEXT:
        run = run.replace("-", "")
        run = f"{run[:8]}-{run[8:12]}-{run[12:16]}-{run[16:20]}-{run[20:]}"
    return run


class Parts(NamedTuple):
    """A token taken apart; ``head`` is its associated data, ``data`` is base64 of nonce and ciphertext."""

    key: str
    salt: str
    origin: Origin
    head: str
    data: str


def head_of(key: str, salt: str, origin: Origin) -> str:
    """Return all of a token before the last dot; the id of the run is `canonical`."""
    tenant, run, step, field = origin
    return f"{VERSION}.{key}.{salt}.{field}{run}.{tenant and _written(tenant)}.{step and _written(step)}"


def split(token: str) -> Parts:
    """Take a token apart.

    Raises:
        NotAuthentic: it is none.
        KeyMissing: it is of a version that is not known here.
    """
    head, _, data = token.rpartition(".")
    try:
        if found := _HEAD.fullmatch(head):
            key, salt, field, run, tenant, step = found.groups()
            return Parts(key, salt, Origin(_read(tenant), run, _read(step), Field(field)), head, data)
        version, key, place = head.split(".")
        if version == BY_RUN and KEY_ID.fullmatch(key):
            origin = _place_by_run(place)
            return Parts(key, origin.run, origin, head, data)
    except ValueError:
        pass
    if (newer := _NEWER.match(token)) is not None:
        raise KeyMissing(
            f"a value is encrypted in a form that this release does not know (version {newer[1]})",
            hint="upgrade this process; nothing is lost meanwhile",
        )
    raise malformed()


@lru_cache(maxsize=4096)
def _written(name: str) -> str:
    # a tenant or a step may have any name
    return name if _AS_IT_IS.fullmatch(name) else "=" + encode(name.encode())


def _read(written: str) -> str:
    return decode(written[1:]).decode() if written.startswith("=") else written


def _place_by_run(text: str) -> Origin:
    """Read a place of the version before: every part is framed by its length or of a fixed one."""
    data = decode(text)
    end = _ID_BYTES + 3 + int.from_bytes(data[1 + _ID_BYTES : _ID_BYTES + 3])
    return Origin(
        data[_ID_BYTES + 3 : end].decode(),
        canonical(data[1 : 1 + _ID_BYTES].hex()),
        data[end:].decode(),
        Field(data[:1].decode()),
    )


def token_of(value: object) -> str | None:
    """Return the token of a JSON value that is a sealed one; None for any other value."""
    if isinstance(value, dict) and isinstance(token := value.get(RESERVED), str):
        return token
    return None


def encode(data: bytes) -> str:
    """Return base64."""
    return b2a_base64(data, newline=False).decode("ascii")


def decode(text: str) -> bytes:
    """Read `encode`.

    Raises:
        ValueError: it is no base64.
    """
    return a2b_base64(text)


def malformed() -> NotAuthentic:
    """Return the error for what looks like a sealed value and is none."""
    return NotAuthentic(
        "a value has the form of an encrypted one, but cannot be read",
        hint=f"it was changed in the database, or somebody stores {RESERVED!r} of their own",
    )
