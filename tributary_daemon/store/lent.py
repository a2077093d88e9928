"""Connections whose transaction finishes a step: who borrows one may do all but end that transaction."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import psycopg
from psycopg.pq import TransactionStatus

from tributary_daemon.store.watched import AsyncWatched, Watched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REFUSAL: Final = (
    "the transaction of step.connection() is ended with the step: neither commit nor use autocommit;"
    " effects that are to outlive a failure need a connection of their own"
)


def _refuse() -> NoReturn:
    raise psycopg.ProgrammingError(REFUSAL)


class Lent(Watched):
    """A connection that a handler borrows.

    A block of ``transaction()`` is a savepoint in any case. Outside of a transaction psycopg would begin one
    and commit it at the end of the block, whatever became of the step.
    """

    @property
    def autocommit(self) -> bool:
        """Whether each statement commits by itself; never while it is lent."""
        return super().autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.set_autocommit(value)

    def set_autocommit(self, value: bool) -> None:  # noqa: FBT001 - psycopg's
        """Do what psycopg does, to switch it off.

        Raises:
            psycopg.ProgrammingError: it was to be switched on.
        """
        if value:
            _refuse()
        super().set_autocommit(value)

    def commit(self) -> None:
        """Refuse.

        Raises:
            psycopg.ProgrammingError: always.
        """
        _refuse()

    def commit_step(self) -> None:
        """Commit; for who finishes the step."""
        super().commit()

    @contextmanager
    def transaction(
        self,
        savepoint_name: str | None = None,
        force_rollback: bool = False,  # noqa: FBT001, FBT002 - psycopg's
    ) -> Iterator[psycopg.Transaction]:
        """Do what psycopg does inside of a transaction."""
        if self.info.transaction_status == TransactionStatus.IDLE:
            self.execute("")
        with super().transaction(savepoint_name, force_rollback) as block:
            yield block


class AsyncLent(AsyncWatched):
    """The same for asyncio."""

    async def set_autocommit(self, value: bool) -> None:  # noqa: FBT001 - psycopg's
        """Do what `Lent.set_autocommit` does."""
        if value:
            _refuse()
        await super().set_autocommit(value)

    async def commit(self) -> None:
        """Do what `Lent.commit` does."""
        _refuse()

    async def commit_step(self) -> None:
        """Commit; for who finishes the step."""
        await super().commit()

    @asynccontextmanager
    async def transaction(
        self,
        savepoint_name: str | None = None,
        force_rollback: bool = False,  # noqa: FBT001, FBT002 - psycopg's
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        """Do what `Lent.transaction` does."""
        if self.info.transaction_status == TransactionStatus.IDLE:
            await self.execute("")
        async with super().transaction(savepoint_name, force_rollback) as block:
            yield block
