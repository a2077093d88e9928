"""What a sealed value looks like: a token that names its key and the place it was sealed for.

``1.<key id>.<origin>.<nonce and ciphertext>``, the last two in base64. All before the last dot is the
associated data, so neither key id nor origin can be changed. A JSON value is stored as
``{"$sealed": token}``, a part of a text as ``$sealed{token}``.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from enum import StrEnum
from typing import Final, NamedTuple

from tributary_daemon.errors import NotAuthentic

RESERVED: Final = "$sealed"
HIDDEN: Final = "<encrypted>"
"""What is shown in the place of a value whose key is not at hand."""
BROKEN: Final = "<not authentic>"
"""What is shown in the place of a value that was changed, or moved from another place."""
NOWHERE: Final = "00000000-0000-0000-0000-000000000000"
"""The run of what belongs to none: the inputs of schedules, results that any run may use."""

VERSION: Final = "1"
VALUE_HEAD: Final = '{"$sealed"'
TEXT_TOKEN: Final = re.compile(r"\$sealed\{([A-Za-z0-9._+/=-]+)\}")
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
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


def encode_origin(origin: Origin) -> str:
    """Return an origin as it stands in a token: every part framed by its length or of a fixed one."""
    tenant = origin.tenant.encode()
    run = bytes.fromhex(origin.run.replace("-", ""))
    return encode(
        b"%b%b%b%b%b" % (origin.field.encode(), run, len(tenant).to_bytes(2), tenant, origin.step.encode())
    )


def decode_origin(text: str) -> Origin:
    """Read `encode_origin`.

    Raises:
        NotAuthentic: it is none.
    """
    try:
        data = decode(text)
        run = data[1 : 1 + _ID_BYTES].hex()
        end = _ID_BYTES + 3 + int.from_bytes(data[1 + _ID_BYTES : _ID_BYTES + 3])
        return Origin(
            data[_ID_BYTES + 3 : end].decode(),
            canonical(run),
            data[end:].decode(),
            Field(data[:1].decode()),
        )
    except ValueError:
        raise malformed() from None


class Parts(NamedTuple):
    """A token taken apart; ``head`` is its associated data."""

    key: str
    origin: Origin
    head: str
    data: bytes


def split(token: str) -> Parts:
    """Take a token apart.

    Raises:
        NotAuthentic: it is none.
    """
    head, _, data = token.rpartition(".")
    version, _, rest = head.partition(".")
    key, _, origin = rest.partition(".")
    if version != VERSION or not KEY_ID.fullmatch(key):
        raise malformed()
    try:
        return Parts(key, decode_origin(origin), head, decode(data))
    except ValueError:
        raise malformed() from None


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
