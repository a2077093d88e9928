"""Attempts one after the other in the calling thread, as the bench of `testing` runs them."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING

from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.engine.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.engine.hooking import Hooks
    from tributary_daemon.handlers.resources import Resource
    from tributary_daemon.model.outcome import Outcome


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

    def run(self, held: Held, runtime: ProcessRuntime) -> Outcome | None:
        """Run one attempt; return what is still to be written of it."""
        attempts = Attempts(runtime, pool=self._pool, hooks=self._hooks)
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
