"""The only place that touches cryptography: AES-256-GCM under a key derived for each run.

A random nonce of 96 bits may serve one key for some four billion values. One key for each run (by keyed
BLAKE2b of its id) makes that a bound per run, instead of one for all that is ever stored. Nothing here gives
up the interpreter: HMAC by OpenSSL and `os.urandom` do, and would wait in line behind the handlers for it,
value by value. OpenSSL's generator, which makes the nonces, does not, and a forked process seeds it anew.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from ssl import RAND_bytes
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12
_PURPOSE: Final = b"tributary value"


@lru_cache(maxsize=4096)
def _of_run(secret: bytes, run: str) -> AESGCM:
    # what was claimed is finished soon, with the same key
    return AESGCM(blake2b(run.encode(), key=secret, digest_size=32, person=_PURPOSE).digest())


def encrypt(secret: bytes, run: str, text: bytes, head: bytes) -> bytes:
    """Return nonce and ciphertext.

    Args:
        secret: 32 bytes.
        run: what the key is derived for.
        text: to be hidden.
        head: associated data.
    """
    nonce = RAND_bytes(_NONCE)
    return nonce + _of_run(secret, run).encrypt(nonce, text, head)


def decrypt(secret: bytes, run: str, data: bytes, head: bytes) -> bytes | None:
    """Return what `encrypt` was given; None when any of it is not what it was."""
    try:
        return _of_run(secret, run).decrypt(data[:_NONCE], data[_NONCE:], head)
    except (InvalidTag, ValueError):
        return None
