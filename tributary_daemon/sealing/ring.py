"""`Ring`: the keys of a process. The first of a tenant encrypts, all of them decrypt."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tributary_daemon.errors import KeyMissing, NotAuthentic
from tributary_daemon.sealing.envelope import (
    BY_RUN,
    RESERVED,
    Origin,
    canonical,
    encode,
    head_of,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FACTS: Final = "$facts"
"""Beside a sealed signal: a keyed hash of each of its parts, by which a wait finds it."""
_PRINT: Final = 8
_FACT: Final = 16
# characters of a token
_VERSION: Final = len("2.")
_SALT: Final = 16
_NONCE: Final = 16


class Sealer(Protocol):
    """`cipher.Sealer`."""

    salt: str

    def encrypt(self, text: str, head: str, /) -> tuple[str, str]: ...


class Cipher(Protocol):
    """`cipher.Cipher`."""

    def sealer(self) -> Sealer: ...
    def decrypt(self, salt: str, nonce: str, data: str, head: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Key:
    """A key; of ``tenant`` alone, or of all tenants that have none of their own (None)."""

    id: str
    secret: bytes = field(repr=False)
    tenant: str | None = None

    @property
    def fingerprint(self) -> str:
        """What tells two keys apart and nothing about them."""
        return hashlib.sha256(b"tributary key\x01" + self.secret).hexdigest()[:_PRINT]


class Opened(NamedTuple):
    """What was sealed, and for which place."""

    text: str
    origin: Origin


class Ring:
    """Seals and opens; made once per process.

    Args:
        keys: in order.
        cipher: made of a secret; `cipher.Cipher`, which is imported only where there are keys.
    """

    def __init__(self, keys: Iterable[Key], cipher: Callable[[bytes], Cipher]) -> None:
        self.keys = tuple(keys)
        self._by_id = {key.id: (key, cipher(key.secret)) for key in self.keys}
        self._firsts: dict[str | None, Key] = {}
        for key in self.keys:
            self._firsts.setdefault(key.tenant, key)
        self._common = self._firsts.get(None)

    def key_for(self, tenant: str) -> Key | None:
        """Return the key that encrypts what is a tenant's; None where its values are not encrypted."""
        return self._firsts.get(tenant, self._common)

    def written(self) -> tuple[str, ...]:
        """Return the keys as they are written in a configuration."""
        return tuple(
            f"{f'{key.tenant}/' if key.tenant is not None else ''}{key.id}:{b64encode(key.secret).decode()}"
            for key in self.keys
        )

    def first(self, key: Key) -> bool:
        """Return whether a key encrypts for anybody."""
        return self._firsts.get(key.tenant) is key

    def seal(self, text: str, origin: Origin) -> str:
        """Return the JSON text to store for the JSON text of a value."""
        key = self.key_for(origin.tenant)
        if key is None:
            return text
        # as `token` has it, which would be one more copy
        head, nonce, data = self._encrypted(key, text, origin)
        return f'{{"{RESERVED}": "{head}.{nonce}{data}"}}'

    def seal_value(self, value: Any, origin: Origin) -> Any:
        """Return what stands for a value inside of a larger one that stays readable."""
        key = self.key_for(origin.tenant)
        return value if key is None else {RESERVED: self.token(key, json.dumps(value), origin)}

    def seal_text(self, text: str, origin: Origin) -> str:
        """Return what stands for a text inside of others."""
        key = self.key_for(origin.tenant)
        return text if key is None else f"{RESERVED}{{{self.token(key, text, origin)}}}"

    def open(self, token: str) -> Opened:
        """Return what a token holds.

        Raises:
            KeyMissing: the key is not at hand.
            NotAuthentic: it was changed, or is no token.
        """
        parts = split(token)
        if (known := self._by_id.get(parts.key)) is None:
            raise missing(parts.key, self.keys)
        key, cipher = known
        text = None
        if key.tenant is None or key.tenant == parts.origin.tenant:
            text = cipher.decrypt(parts.salt, parts.data[:_NONCE], parts.data[_NONCE:], parts.head)
        if text is None:
            raise NotAuthentic(
                f"an encrypted value cannot be opened with the key '{key.id}'",
                hint="it was changed in the database, or another key had this id when it was written:"
                " compare the fingerprints (trib keys list)",
            )
        return Opened(text, parts.origin)

    def open_at(self, stored: str, origin: Origin, *, start: int = 0, end: int | None = None) -> str | None:
        """Return what a token holds that was sealed for just this place; None for any other one.

        Args:
            stored: what the token stands in, which is not copied.
            origin: the id of its run is written as the database writes it.
            start: where the token begins.
            end: where it ends; None for the end.
        """
        dot = stored.find(".", start + _VERSION)
        known = self._by_id.get(stored[start + _VERSION : dot])
        if known is None:
            return None
        key, cipher = known
        if key.tenant is not None and key.tenant != origin.tenant:
            return None
        salt = stored[dot + 1 : dot + 1 + _SALT]
        head = head_of(key.id, salt, origin)
        if stored.startswith(f"{head}.", start):
            nonce = start + len(head) + 1
            data = nonce + _NONCE
            return cipher.decrypt(salt, stored[nonce:data], stored[data:end], head)
        if not stored.startswith(BY_RUN, start):
            return None
        try:
            found = self.open(stored[start:end])
        except NotAuthentic:
            return None
        return found.text if found.origin == origin else None

    def facts(self, value: Any, tenant: str, run: str, *, all_keys: bool) -> dict[str, Any]:
        """Return keyed hashes of the parts of a signal's payload, or of what one has to hold.

        They lie in an object, so that PostgreSQL's containment compares them as it compares the payloads.
        Equal parts have equal hashes in one run only.

        Args:
            value: JSON.
            tenant: whose run it is.
            run: its id.
            all_keys: of every key that may have been the first when the wait began.
        """
        first = self.key_for(tenant)
        keys = [key for key in self.keys if key.tenant in (None, tenant)] if all_keys else [first]
        parts = [f"tributary fact\x01{run}\n{part}".encode() for part in _parts(value, "$")]
        return {
            FACTS: {
                encode(hmac.digest(key.secret, part, "sha256")[:_FACT]): True
                for key in keys
                if key is not None
                for part in parts
            }
        }

    def digest(self, text: str, tenant: str) -> str:
        """Return a keyed hash of a text, in hex: another one with each key; the text itself without a key."""
        key = self.key_for(tenant)
        if key is None:
            return text
        return hmac.digest(key.secret, f"tributary digest\x01{text}".encode(), "sha256").hex()

    def token(self, key: Key, text: str, origin: Origin) -> str:
        """Return the token of a text, sealed with a key."""
        head, nonce, data = self._encrypted(key, text, origin)
        return f"{head}.{nonce}{data}"

    def _encrypted(self, key: Key, text: str, origin: Origin) -> tuple[str, str, str]:
        run = canonical(origin.run)
        sealer = self._by_id[key.id][1].sealer()
        head = head_of(key.id, sealer.salt, origin if run == origin.run else origin._replace(run=run))
        return head, *sealer.encrypt(text, head)


def _parts(value: Any, path: str) -> Iterator[str]:
    """Yield what an object holds, as text; a list holds its elements, each as a whole."""
    match value:
        case dict():
            yield f"{path}{{}}"
            for name, part in value.items():
                yield from _parts(part, f"{path}.{json.dumps(name)}")
        case list():
            yield f"{path}[]"
            for part in value:
                yield f"{path}[]={_canonical(part)}"
        case _:
            yield f"{path}={_canonical(value)}"


def _canonical(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        # as PostgreSQL compares numbers
        value = int(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def missing(key: str, known: Iterable[Key] = ()) -> KeyMissing:
    """Return the error for a value whose key is not at hand."""
    ids = ", ".join(each.id for each in known) or "none"
    return KeyMissing(
        f"a value is encrypted with the key '{key}', which this process has not (it has {ids})",
        hint="give it the key (TRIB_ENCRYPTION_KEYS); nothing is lost meanwhile",
    )
