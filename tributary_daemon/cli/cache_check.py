"""What ``trib doctor`` says about the step cache, where it is not in the database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from tributary_daemon.cli.findings import Finding
from tributary_daemon.config.values import OFF, mask
from tributary_daemon.errors import ConfigError
from tributary_daemon.model.caching import CacheKey, Holder
from tributary_daemon.store.cache.opening import MEMORY, POSTGRES, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.config import Config

_TOLD: Final = {
    OFF: "off: each step runs",
    MEMORY: "in the memory of each process of a worker, for itself alone",
}
# nobody has such a lease: to give it up asks the store, and changes nothing
_KEY: Final = CacheKey("0" * 64, "", "trib.doctor", None, "global", None, None)
_HOLDER: Final = Holder("00000000-0000-0000-0000-000000000000", 0, 0)


def examine(config: Config) -> Iterator[Finding]:
    """Ask the store that the settings name, as an attempt would."""
    url = config.cache
    if url == POSTGRES:
        return
    if url in _TOLD:
        yield Finding("cache", "ok", _TOLD[url])
        return
    try:
        store = open_store(url, config.cache_timeout)
        assert store is not None
        with closing(store):
            store.give_up(_KEY, _HOLDER)
    except ConfigError as error:
        yield Finding("cache", "fail", error.message, error.hint, error.exit_code)
    except Exception as error:  # noqa: BLE001 - clients raise what they like
        hint = "steps run without it; look at TRIB_CACHE and at that server"
        yield Finding("cache", "warn", f"{mask(url)} does not answer: {error}", hint)
    else:
        yield Finding("cache", "ok", mask(url))
