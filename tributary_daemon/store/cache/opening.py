"""From the setting ``cache`` to a store: the client of each is imported only where it is used."""

from __future__ import annotations

from importlib import import_module, util
from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from tributary_daemon.store.cache.entries import CacheStore

POSTGRES: Final = "postgres"
MEMORY: Final = "memory"


class _Kind(NamedTuple):
    """A kind of store: module with its ``open_store(url, timeout)``, its client, the extra with that."""

    module: str
    client: str | None = None
    extra: str | None = None


_KINDS: Final = {
    MEMORY: _Kind("memory"),
    "sqlite": _Kind("sqlite", "sqlite3"),
    "redis": _Kind("redis_store", "redis", "redis"),
    "rediss": _Kind("redis_store", "redis", "redis"),
    "mysql": _Kind("mysql", "pymysql", "mysql"),
    "mariadb": _Kind("mysql", "pymysql", "mysql"),
}


def require(cache: str) -> None:
    """Refuse a store whose client is not installed.

    Raises:
        ConfigError: names the extra that brings it.
    """
    kind = _KINDS.get(cache.partition("://")[0])
    if kind is not None and kind.client is not None and util.find_spec(kind.client) is None:
        extra = "" if kind.extra is None else f"[{kind.extra}]"
        raise ConfigError(
            f"the setting cache needs the package {kind.client}, which is not installed",
            hint=f"pip install 'tributary-daemon{extra}'" if extra else "use a Python that has it",
        )


def open_store(cache: str, timeout: float) -> CacheStore | None:
    """Return the store that the setting names; None where that is the database of the work itself.

    Args:
        cache: the setting.
        timeout: seconds that it may take to be connected, and to answer.
    """
    if cache == POSTGRES:
        return None
    require(cache)
    kind = _KINDS[cache.partition("://")[0]]
    store: CacheStore = import_module(f"tributary_daemon.store.cache.{kind.module}").open_store(
        cache, timeout
    )
    return store
