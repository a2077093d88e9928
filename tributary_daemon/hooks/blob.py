"""The hook ``blob``: payloads and results past a size go to files or an object store, by reference."""

from __future__ import annotations

import hashlib
import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tributary_daemon import codec
from tributary_daemon.config import values
from tributary_daemon.errors import ConfigError, InvalidInput
from tributary_daemon.handlers.hooks import Hook
from tributary_daemon.hooks.options import option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.handlers.hooks import Host, Work
    from tributary_daemon.handlers.step import Step

KEY: Final = "$blob"
_HEX: Final = frozenset("0123456789abcdef")
_DIGITS: Final = 64


class Blob(Hook):
    """Keeps large values elsewhere; stored is ``{"$blob": {"sha256": …, "bytes": …}}``.

    Objects are named by the SHA-256 of what they hold, below the tenant they belong to, and never change.
    What comes back is held to its hash and size. Workers, and clients that are to see the values, need the
    hook with the same URL. List it before hooks that look into payloads.

    Args:
        url: where they go: a directory, ``file:///…``, ``s3://bucket/prefix`` … as fsspec has it.
        threshold: values whose JSON is longer go there.
        limit: longest JSON of a value that is taken in, and of all that is read back at once.
        storage: options of the file system, as fsspec has them.

    Attributes:
        url: as given.

    Raises:
        ConfigError: an option does not fit, or a package is missing.
    """

    blocking = True

    def __init__(
        self,
        *,
        url: str,
        threshold: int | str = "64KiB",
        limit: int | str = "64MiB",
        storage: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = option("url", url, values.text)
        self._threshold = option("threshold", threshold, values.size)
        self._limit = self.largest = option("limit", limit, values.size)
        self._storage = dict(storage or {})
        self._opened: tuple[Any, str] | None = None
        self._connect()
        # each process makes its own: connections of object stores do not outlive a fork or a pickle
        self._opened = None

    def open(self, host: Host) -> None:  # noqa: ARG002 - see Hook
        """Connect in this process."""
        self._opened = self._connect()

    def before_submit(self, work: Work) -> Any:
        """Keep a payload elsewhere; of a run, each of its inputs."""
        if work.kind == "run" and isinstance(work.payload, dict):
            return {name: self.store(work.tenant, value) for name, value in work.payload.items()}
        return self.store(work.tenant, work.payload)

    def before_work(self, step: Step, payload: Any) -> Any:
        """Put what is kept elsewhere in place, wherever in the payload it is."""
        return self.load(step.tenant, payload)

    def after_work(self, step: Step, payload: Any, result: Any, error: BaseException | None) -> Any:  # noqa: ARG002 - see Hook
        """Keep a result elsewhere."""
        return None if error is not None or result is None else self.store(step.tenant, result)

    def load(self, tenant: str, value: Any) -> Any:
        """Return a value with all that is kept elsewhere in its place.

        Raises:
            InvalidInput: there is no such object, it is not what was kept, or larger than what is read.
        """
        return self._load(tenant, value, _Budget(self._limit))

    def store(self, tenant: str, value: Any) -> Any:
        """Return a value, or a reference where it is large."""
        data = codec.dumps(value, max_bytes=self._limit).encode()
        if len(data) <= self._threshold:
            return value
        digest = hashlib.sha256(data).hexdigest()
        self._put(tenant, digest, data)
        return {KEY: {"sha256": digest, "bytes": len(data)}}

    def files(self) -> tuple[Any, str]:
        """Return the file system, and the directory in it where all objects are."""
        self._opened = self._opened or self._connect()
        return self._opened

    def _load(self, tenant: str, value: Any, budget: _Budget) -> Any:
        if isinstance(value, list):
            found = [self._load(tenant, part, budget) for part in value]
            return found if any(new is not old for new, old in zip(found, value, strict=True)) else value
        if not isinstance(value, dict):
            return value
        reference = _reference(value)
        if reference is not None:
            budget.spend(*reference)
            # what was kept may hold references itself; no hash leads back to itself
            return self._load(tenant, self._get(tenant, *reference), budget)
        members = {name: self._load(tenant, part, budget) for name, part in value.items()}
        return members if any(members[name] is not part for name, part in value.items()) else value

    def _connect(self) -> tuple[Any, str]:
        try:
            system, root = import_module("fsspec.core").url_to_fs(self.url, **self._storage)
        except ImportError as error:
            raise ConfigError(
                f"url: {error}",
                hint="pip install 'tributary-daemon[blob]', and the package of its file system",
            ) from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"url: {self.url} cannot be used: {error}") from error
        return system, root.rstrip("/")

    def _place(self, tenant: str, digest: str) -> tuple[Any, str]:
        system, root = self.files()
        # a tenant's name is not to lead out of its directory
        return system, f"{root}/t={quote(tenant, safe='')}/{digest[:2]}/{digest}.json"

    def _put(self, tenant: str, digest: str, data: bytes) -> None:
        system, path = self._place(tenant, digest)
        if "file" not in _protocols(system):
            system.pipe_file(path, data)
            return
        # written again where it is there already: its age says when it was last needed
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        part = f"{path}.{os.getpid()}.{threading.get_ident()}"
        with open(part, "wb") as file:  # noqa: PTH123 - the file system names it by a text
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)  # noqa: PTH105

    def _get(self, tenant: str, digest: str, size: int) -> Any:
        system, path = self._place(tenant, digest)
        try:
            data = bytes(system.cat_file(path))
        except FileNotFoundError as error:
            raise InvalidInput(
                f"blob {digest} is not at {self.url}", hint="was it removed, or is the url another one here?"
            ) from error
        if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
            raise InvalidInput(
                f"blob {digest} is not what was kept: {len(data):,} bytes of another hash or size"
            )
        return codec.loads(data, what=f"blob {digest}")


class _Budget:
    """How much is loaded at once: references to references could stand for more than fits into memory."""

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, digest: str, size: int) -> None:
        self._left -= size
        if size < 0 or self._left < 0:
            raise InvalidInput(
                f"blob {digest} has {size:,} bytes, with which more is to be read than the limit"
            )


def _protocols(system: Any) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _reference(value: dict[str, Any]) -> tuple[str, int] | None:
    inner = value.get(KEY) if len(value) == 1 else None
    if not isinstance(inner, dict) or inner.keys() != {"sha256", "bytes"}:
        return None
    digest, size = inner["sha256"], inner["bytes"]
    if not (
        isinstance(digest, str) and len(digest) == _DIGITS and set(digest) <= _HEX and isinstance(size, int)
    ):
        return None
    return digest, size
