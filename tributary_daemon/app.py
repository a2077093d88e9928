"""The composition root: a configuration in, wired clients out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tributary_daemon import config as configuration
from tributary_daemon.client import async_client, client
from tributary_daemon.client.options import Settings
from tributary_daemon.daemon.options import WorkerOptions
from tributary_daemon.hooks.loading import make
from tributary_daemon.wiring import database_url, wired
from tributary_daemon.workers import private_worker, private_worker_async, run_worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.config import Config
    from tributary_daemon.handlers.hooks import Hook
    from tributary_daemon.wiring import Say

__all__ = ["AsyncClient", "Client", "database_url", "private_worker", "run_worker"]


class Client(client.Client):
    """A client with the same configuration as the CLI; see the class it extends for what it does.

    Args:
        url: libpq URL; else that of the configuration, else the embedded database.
        config: the merged configuration; else environment, ``./trib.toml`` and the user's file are read.
        tenant: of all that is submitted and listed.
        say: told when the embedded database is used; stderr unless given.
        hooks: around submits, and around what `run` runs, instead of those of the configuration.

    Raises:
        ConfigError: a setting is malformed, or a hook cannot be made.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        config: Config | None = None,
        tenant: str | None = None,
        say: Say | None = None,
        hooks: Sequence[Hook] | None = None,
    ) -> None:
        merged = _merged(url, config)
        found = make(merged.hooks if hooks is None else hooks)
        options = dataclasses.replace(WorkerOptions.of(merged), hooks=tuple(found))
        super().__init__(
            wired(merged, say=say),
            Settings.of(merged, tenant),
            lambda: private_worker(merged, options, say=say, local=True),
            found,
        )
        self.config = merged
        self.hooks = tuple(found)


class AsyncClient(async_client.AsyncClient):
    """A client for asyncio; arguments and errors as for `Client`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        config: Config | None = None,
        tenant: str | None = None,
        say: Say | None = None,
        hooks: Sequence[Hook] | None = None,
    ) -> None:
        merged = _merged(url, config)
        found = make(merged.hooks if hooks is None else hooks)
        options = dataclasses.replace(WorkerOptions.of(merged), hooks=tuple(found))
        super().__init__(
            wired(merged, say=say),
            Settings.of(merged, tenant),
            lambda: private_worker_async(merged, options, say=say, local=True),
            found,
        )
        self.config = merged
        self.hooks = tuple(found)


def _merged(url: str | None, config: Config | None) -> Config:
    merged = configuration.load({}) if config is None else config
    return merged if url is None else dataclasses.replace(merged, database_url=url)
