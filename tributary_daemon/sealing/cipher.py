"""The only place that touches cryptography: AES-256-GCM under derived keys, written in base64.

A random nonce of 96 bits may serve one key for some four billion values. So nothing is encrypted with a key
as it is configured: each process draws a salt of 96 bits, derives a key from both by keyed BLAKE2b, and takes
another salt long before that many values. No value makes its thread give up the interpreter: HMAC by OpenSSL
and `os.urandom` do that, and would wait in line for it behind the handlers. OpenSSL's generator, which makes
the nonces, does not.
"""

from __future__ import annotations

import os
import secrets
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from ssl import RAND_bytes
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakSet

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ConfigDict, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

MOST: Final = 2**30
"""Values that are encrypted with one salt."""
_NONCE: Final = 12  # bytes
_SALT: Final = 12  # bytes
_PURPOSE: Final = b"tributary value"
_KEPT: Final = 1024
_AT_ONCE: Final = 128
# three times as fast as binascii
_decode: Final = cast(
    "Callable[[str], bytes]",
    TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64")).validator.validate_strings,
)


class Sealer:
    """Encrypts with one salt.

    Attributes:
        salt: as it is written.
        left: how many values more.
    """

    __slots__ = ("_key", "left", "salt")

    def __init__(self, salt: str, key: AESGCM) -> None:
        self.salt, self.left = salt, MOST
        self._key = key

    def encrypt(self, text: str, head: str) -> tuple[str, str]:
        """Return nonce and ciphertext in base64; one behind the other they are that of both.

        Args:
            text: to be hidden.
            head: associated data.
        """
        self.left -= 1
        nonce, written = _nonce()
        data = self._key.encrypt(nonce, text.encode(), head.encode())
        return written, b2a_base64(data, newline=False).decode("ascii")


class Cipher:
    """Encrypts and decrypts with what is derived from one key.

    Args:
        secret: 32 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._keyed = blake2b(key=secret, digest_size=32, person=_PURPOSE)
        self._derived: dict[str, AESGCM] = {}
        self._sealer: Sealer | None = None
        _ciphers.add(self)

    def sealer(self) -> Sealer:
        """Return what encrypts now."""
        sealer = self._sealer
        if sealer is None or sealer.left <= 0:
            salt = secrets.token_urlsafe(_SALT)
            sealer = self._sealer = Sealer(salt, self._derive(salt))
        return sealer

    def decrypt(self, salt: str, nonce: str, data: str, head: str) -> str | None:
        """Return what was encrypted with a salt; None when any of it is not what it was."""
        key = self._derived.get(salt) or self._derive(salt)
        try:
            return key.decrypt(a2b_base64(nonce), _decode(data), head.encode()).decode()
        except (InvalidTag, ValueError):
            return None

    def forget(self) -> None:
        """Take another salt for what is encrypted next."""
        self._sealer = None

    def _derive(self, salt: str) -> AESGCM:
        # this takes longer than to encrypt with it
        made = self._keyed.copy()
        made.update(salt.encode())
        if len(self._derived) >= _KEPT:
            self._derived.clear()
        key = self._derived[salt] = AESGCM(made.digest())
        return key


def _nonce() -> tuple[bytes, str]:
    """Return one that was never used, and its base64."""
    while True:
        try:
            # taken by one thread only
            return _nonces.pop()
        except IndexError:
            drawn = RAND_bytes(_NONCE * _AT_ONCE)
            many = [drawn[at : at + _NONCE] for at in range(0, len(drawn), _NONCE)]
            _nonces.extend((nonce, b2a_base64(nonce, newline=False).decode("ascii")) for nonce in many)


def _forked() -> None:
    # no nonce is used on both sides of a fork; OpenSSL's generator sees to that by itself
    _nonces.clear()
    for cipher in _ciphers:
        cipher.forget()


_nonces: Final[list[tuple[bytes, str]]] = []
_ciphers: Final[WeakSet[Cipher]] = WeakSet()
os.register_at_fork(after_in_child=_forked)
