"""`RunFace`: runs as a whole, and the items of their fan-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.client import operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.client.items import ItemDocument
    from tributary_daemon.client.link import Link
    from tributary_daemon.store.control import Again


class RunFace:
    """Part of a client: pauses and resumes runs, reads the items of a fan-out."""

    _link: Link

    def pause(self, id: str) -> str:  # noqa: A002 - the word of the documents
        """Pause a run: what runs goes on, nothing else of it starts; return the state it was in.

        Raises:
            NotFound: there is no such run.
            NotPossible: it has ended, or is paused.
        """
        return self._link.run(lambda: operations.pause_run(id), again=False)

    def resume(self, id: str) -> str:  # noqa: A002 - the word of the documents
        """Let a paused run go on; return the state it was in.

        Raises:
            NotFound: there is no such run.
            NotPossible: it is not paused.
        """
        return self._link.run(lambda: operations.resume_run(id), again=False)

    def retry_only(self, id: str, only: str | Sequence[str]) -> str:  # noqa: A002
        """Run steps of an ended run once more, below them only what did not end well; return the new state.

        Args:
            id: of the run.
            only: ``STEP``, or ``STEP[KEY]`` for one item of a fan-out; or several.

        Raises:
            NotFound: there is no such run, step or item.
            NotPossible: it has not ended, or what they need did not end well.
        """
        return self._link.run(lambda: operations.retry_only(id, only), again=False)

    def retry_preview(
        self,
        id: str,  # noqa: A002 - the word of the documents
        from_step: str | Sequence[str] | None = None,
        only: str | Sequence[str] | None = None,
    ) -> list[Again]:
        """Read which steps `retry` or `retry_only` would run again; nothing changes.

        Raises:
            NotFound: as these.
            NotPossible: as these.
        """
        return self._link.run(lambda: operations.retry_preview(id, from_step, only), again=True)

    def items(self, id: str, step: str) -> list[ItemDocument]:  # noqa: A002 - the word of the documents
        """Read the items of a fan-out in their order; none before they exist.

        Raises:
            NotFound: there is no such run or step.
            NotPossible: the step does not fan out.
        """
        return self._link.run(lambda: operations.items(id, step), again=True)
