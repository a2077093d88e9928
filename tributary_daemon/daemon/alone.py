"""Attempts one after the other in the calling thread, as the bench of `testing` runs them."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.daemon.caching import Caching
from tributary_daemon.engine.pool import Pool
from tributary_daemon.store.cache.opening import POSTGRES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.engine.hooking import Hooks
    from tributary_daemon.handlers.resources import Resource
    from tributary_daemon.model.outcome import Outcome

_PATIENCE: Final = 60.0


class Alone:
    """Runs attempts with one pool of resources, and one loop for the async ones.

    Args:
        replaced: what stands in for which resource.
        hooks: around handlers; open, and closed with it.
    """

    def __init__(self, replaced: Mapping[Resource, Resource], hooks: Hooks | None = None) -> None:
        self._hooks = hooks
        self._pool = Pool(replaced)
        # it makes its loop when it is needed first
        self._runner = asyncio.Runner()

    def run(self, held: Held, runtime: ProcessRuntime, url: str) -> Outcome | None:
        """Run one attempt; return what is still to be written of it.

        Args:
            held: the lease.
            runtime: serves `Step`.
            url: of the database, which is the step cache, too.
        """
        caching = Caching(POSTGRES, url, 1, _PATIENCE)
        try:
            return self._run(held, Attempts(runtime, pool=self._pool, caching=caching, hooks=self._hooks))
        finally:
            caching.close()

    def _run(self, held: Held, attempts: Attempts) -> Outcome | None:
        if held.handler is not None and held.handler.is_async:
            return self._runner.run(attempts.arun(held), context=copy_context())
        return attempts.run(held)

    def close(self) -> None:
        """Close the resources, async ones in their loop, and the loop."""
        try:
            if self._pool.needs_loop:
                self._runner.run(self._pool.aclose())
            self._pool.close()
            if self._hooks is not None:
                self._hooks.close()
        finally:
            self._runner.close()
