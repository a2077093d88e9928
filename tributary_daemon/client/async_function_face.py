"""`AsyncFunctionFace`: workflow functions looked at from outside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tributary_daemon.client import replaying

if TYPE_CHECKING:
    from tributary_daemon.client.link import AsyncLink
    from tributary_daemon.client.replaying import RecordedRun, Verdict


class AsyncFunctionFace:
    """Part of a client: reads histories, replays them, asks queries."""

    _link: AsyncLink

    async def history(self, id: str) -> RecordedRun:  # noqa: A002 - the word of the documents
        """Return a run of a workflow function with its history, as a golden file may keep it.

        Raises:
            NotFound: there is no such run.
            NotPossible: it is not one of a workflow function.
        """
        return await self._link.run(lambda: replaying.recorded(id), again=True)

    async def replay(self, run: str | RecordedRun) -> Verdict:
        """Check whether the code of this process fits a history: before a deploy, or in a test.

        Args:
            run: id, or what `history` returned.

        Raises:
            NotFound: there is no such run, or this process has no such workflow function.
            NotPossible: it is not a run of one.
        """
        found = await self.history(run) if isinstance(run, str) else run
        return await asyncio.to_thread(replaying.replay, found)

    async def query(self, id: str, name: str | None = None, /, **arguments: Any) -> Any:  # noqa: A002
        """Ask a workflow function how it goes; it need not be at work, and is not disturbed.

        Args:
            id: of the run.
            name: of the query, as ``ctx.on_query`` gave it: its function runs in this process, which needs
                the code. Without one, what ``ctx.set_status`` said last.
            arguments: of the query.

        Raises:
            NotFound: there is no such run, or this process has no such workflow function.
            NotPossible: it is not a run of one.
            InvalidInput: it answers no such query.
            NonDeterminism: the code of this process does not fit its history.
        """
        if name is None:
            return await self._link.run(lambda: replaying.status(id), again=True)
        return await asyncio.to_thread(replaying.ask, await self.history(id), name, arguments)
