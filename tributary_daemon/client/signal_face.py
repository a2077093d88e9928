"""`SignalFace`: signals to runs, and answers to steps that ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tributary_daemon.client import operations
from tributary_daemon.client.borrowed import borrowed
from tributary_daemon.store import db
from tributary_daemon.store.sight import within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.client.borrowed import Caller
    from tributary_daemon.client.link import Link
    from tributary_daemon.client.options import Settings
    from tributary_daemon.store.db import Operation

T = TypeVar("T")


class SignalFace:
    """Part of a client: sends signals, approves and rejects.

    With ``connection`` all of it is part of the caller's own transaction: nothing has happened when that is
    rolled back, and who waits goes on with its commit. Until then it holds the run's lock.
    """

    _link: Link
    _settings: Settings

    def signal(
        self,
        id: str,  # noqa: A002 - the word of the documents
        name: str,
        payload: Any = None,
        *,
        key: str | None = None,
        sender: str | None = None,
        connection: Caller | None = None,
    ) -> int:
        """Send a signal to a run: the step that has waited longest for it completes with the payload.

        It is kept for the first that will wait while none does, and taken once.

        Args:
            id: of the run.
            name: of the signal.
            payload: what JSON can say, a pydantic model included.
            key: under it a signal is stored once in its run: sent again it is the one that is there.
            sender: who sends it; the user of the database unless given.
            connection: send it in the caller's own transaction.

        Returns:
            its number in the run, from 1.

        Raises:
            InvalidInput: name, key or payload is refused.
            KeyConflict: the key belongs to a signal of another name.
            NotFound: there is no such run.
            NotPossible: it has ended, or is an intent.
        """
        return self._do(
            lambda: operations.signal(id, name, payload, key, sender), connection, again=key is not None
        )

    def signal_taken(self, id: str, number: int) -> bool:  # noqa: A002
        """Return whether a step of the run has taken a signal; False if there is none of that number."""
        return self._link.run(lambda: operations.signal_taken(id, number), again=True)

    def approve(
        self,
        id: str,  # noqa: A002 - the word of the documents
        step: str,
        answer: Mapping[str, Any] | None = None,
        *,
        sender: str | None = None,
        connection: Caller | None = None,
    ) -> str:
        """Approve what a step asks for: it completes with ``{approved, by, at, answer}``; return its state.

        Args:
            id: of the run.
            step: ``STEP``, or ``STEP[KEY]`` for one item of a fan-out.
            answer: what its form asks for.
            sender: who approves; the user of the database unless given.
            connection: approve in the caller's own transaction.

        Raises:
            InvalidInput: the form refuses the answer; it names every fault.
            NotFound: there is no such run or step.
            NotPossible: the step asks for no answer.
        """
        return self._do(lambda: operations.approve(id, step, answer, sender), connection, again=False)

    def reject(
        self,
        id: str,  # noqa: A002 - the word of the documents
        step: str,
        reason: str | None = None,
        *,
        sender: str | None = None,
        connection: Caller | None = None,
    ) -> str:
        """Reject what a step asks for: it is discarded, reason ``rejected``; return its state.

        Args:
            id: of the run.
            step: ``STEP``, or ``STEP[KEY]`` for one item of a fan-out.
            reason: told with its error.
            sender: who rejects; the user of the database unless given.
            connection: reject in the caller's own transaction.

        Raises:
            NotFound: there is no such run or step.
            NotPossible: the step asks for no answer.
        """
        return self._do(lambda: operations.reject(id, step, reason, sender), connection, again=False)

    def _do(self, make: Callable[[], Operation[T]], connection: Caller | None, *, again: bool) -> T:
        if connection is None:
            return self._link.run(make, again=again)
        with borrowed(connection) as lent:
            return db.run(lent, within(self._settings.sees, make(), self._settings.keys))
