"""Where keys come from: the environment, a file, a credential of systemd, or a function that asks a KMS."""

from __future__ import annotations

import importlib
import re
import secrets
from base64 import b64decode, b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from tributary_daemon.errors import ConfigError
from tributary_daemon.sealing.ring import Key, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

SECRET_BYTES: Final = 32
_WRITTEN: Final = re.compile(r"(?:(?P<tenant>[^/:\s]{1,300})/)?(?P<id>[A-Za-z0-9_-]{1,32}):(?P<secret>\S+)")
_FORM: Final = "a key is written id:BASE64, or tenant/id:BASE64; make one: trib keys generate"
_HOOK: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Settings(Protocol):
    """The settings that say where keys are."""

    @property
    def encryption_keys(self) -> tuple[str, ...]: ...
    @property
    def encryption_keys_file(self) -> Path | None: ...
    @property
    def encryption_kms(self) -> str | None: ...
    def source(self, name: str) -> str:
        """Return where a setting came from."""


def ring_of(settings: Settings) -> Ring | None:
    """Return the keys of a configuration; None where nothing is encrypted.

    Raises:
        ConfigError: a key cannot be read, or two have one id, or the package that encrypts is not installed.
    """
    if not (settings.encryption_keys or settings.encryption_keys_file or settings.encryption_kms):
        return None
    return ring(written_keys(settings))


def written_keys(settings: Settings) -> tuple[str, ...]:
    """Return all keys of a configuration as they are written, in their order.

    Those in the settings come first, then those of the file, then those that the function returns.
    """
    found = list(settings.encryption_keys)
    _checked(found, settings.source("encryption_keys"))
    if settings.encryption_keys_file is not None:
        found += _checked(_lines(settings.encryption_keys_file), str(settings.encryption_keys_file))
    if settings.encryption_kms is not None:
        found += _checked(_asked(settings.encryption_kms), settings.encryption_kms)
    if not found:
        raise ConfigError(
            "encryption is configured, but there is no key", hint="an empty file turns nothing off: unset it"
        )
    return tuple(found)


@lru_cache(maxsize=8)
def ring(written: tuple[str, ...]) -> Ring | None:
    """Return the ring of keys as `written_keys` gives them; None for no keys.

    Raises:
        ConfigError: two keys have one id, or the package that encrypts is not installed.
    """
    if not written:
        return None
    keys = [read_key(text) for text in written]
    seen: dict[str, Key] = {}
    for key in keys:
        if key.id in seen and seen[key.id] != key:
            raise ConfigError(
                f"two encryption keys have the id '{key.id}'",
                hint="values name the id of their key, so each id stands for one key for ever",
            )
        seen[key.id] = key
    try:
        # loaded only where there are keys: nobody else needs the package
        cipher = importlib.import_module("tributary_daemon.sealing.cipher")
    except ImportError as error:
        raise ConfigError(
            f"encryption needs the package cryptography: {error}",
            hint="pip install 'tributary-daemon[crypto]'",
        ) from error
    return Ring(seen.values(), cipher.Cipher)


def read_key(text: str) -> Key:
    """Read a key as it is written.

    Raises:
        ConfigError: it is none; the message shows nothing of it but the id.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None:
        raise ConfigError("an encryption key cannot be read", hint=_FORM)
    try:
        secret = b64decode(found["secret"], validate=True)
    except ValueError:
        raise ConfigError(f"the encryption key '{found['id']}' is not base64", hint=_FORM) from None
    if len(secret) != SECRET_BYTES:
        raise ConfigError(
            f"the encryption key '{found['id']}' has {len(secret)} bytes instead of {SECRET_BYTES}",
            hint=_FORM,
        )
    return Key(found["id"], secret, found["tenant"])


def generate(key_id: str, tenant: str | None) -> str:
    """Return a new key as it is written.

    Raises:
        ConfigError: no key can have this id, or no tenant this name.
    """
    secret = b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    text = f"{tenant}/{key_id}:{secret}" if tenant else f"{key_id}:{secret}"
    if _WRITTEN.fullmatch(text) is None:
        raise ConfigError(
            f"no key can have the id {key_id!r}" + (f" for the tenant {tenant!r}" if tenant else ""),
            hint="an id has 1 to 32 letters, digits, - and _; the name of a tenant with its own keys"
            " holds no / : or space",
        )
    return text


def _checked(texts: Iterable[str], origin: str) -> list[str]:
    found = []
    for number, text in enumerate(texts, 1):
        try:
            read_key(text)
        except ConfigError as error:
            raise ConfigError(
                f"encryption key {number} from {origin}: {error.message}", hint=error.hint
            ) from None
        found.append(text.strip())
    return found


def _lines(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read the encryption keys in {path}: {error.strerror}",
            hint="its owner is who runs trib; the file needs the mode 0600",
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(f"the encryption keys in {path} are no text", hint=_FORM) from None
    return (line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#"))


@lru_cache(maxsize=8)
def _asked(hook: str) -> tuple[str, ...]:
    """Return the keys that ``package.module:function`` returns; it is asked once per process."""
    if not _HOOK.fullmatch(hook):
        raise ConfigError(f"encryption_kms: {hook!r} names no function", hint="write package.module:function")
    module, _, name = hook.partition(":")
    try:
        function: Callable[[], Iterable[str]] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"encryption_kms: there is no {hook}: {error}",
            hint="install the package that holds it beside trib",
        ) from error
    try:
        texts = tuple(function())
    except Exception as error:
        raise ConfigError(
            f"encryption_kms: {hook} failed: {type(error).__name__}: {error}",
            hint="without its keys nothing is stored in plain text instead",
        ) from error
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"encryption_kms: {hook} returns no texts", hint=_FORM)
    return texts
