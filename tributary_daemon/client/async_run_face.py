"""`AsyncRunFace`: runs as a whole, and the items of their fan-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.client import operations

if TYPE_CHECKING:
    from tributary_daemon.client.items import ItemDocument
    from tributary_daemon.client.link import AsyncLink


class AsyncRunFace:
    """Part of a client: pauses and resumes runs, reads the items of a fan-out."""

    _link: AsyncLink

    async def pause(self, id: str) -> str:  # noqa: A002 - the word of the documents
        """Pause a run: what runs goes on, nothing else of it starts; return the state it was in.

        Raises:
            NotFound: there is no such run.
            NotPossible: it has ended, or is paused.
        """
        return await self._link.run(lambda: operations.pause_run(id), again=False)

    async def resume(self, id: str) -> str:  # noqa: A002 - the word of the documents
        """Let a paused run go on; return the state it was in.

        Raises:
            NotFound: there is no such run.
            NotPossible: it is not paused.
        """
        return await self._link.run(lambda: operations.resume_run(id), again=False)

    async def items(self, id: str, step: str) -> list[ItemDocument]:  # noqa: A002 - the word of the documents
        """Read the items of a fan-out in their order; none before they exist.

        Raises:
            NotFound: there is no such run or step.
            NotPossible: the step does not fan out.
        """
        return await self._link.run(lambda: operations.items(id, step), again=True)
