"""`trib.sql.v1`: one SQL statement in the transaction that also finishes the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tributary_daemon.errors import Abort
from tributary_daemon.handlers.declare import handler

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step

MAX_ROWS: Final = 10_000
_IDLE: Final = "IDLE"


class Statement(BaseModel):
    """Payload of `trib.sql.v1`.

    Attributes:
        sql: one statement; with ``params`` its placeholders are ``%s`` or ``%(name)s``.
        params: a list or an object; without them a ``%`` is a plain character.
    """

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(min_length=1)
    params: list[Any] | dict[str, Any] | None = None


class Rows(BaseModel):
    """Result of `trib.sql.v1`: rows as objects by column name, and how many rows were touched or returned."""

    rows: list[dict[str, Any]]
    rowcount: int


@handler("trib.sql.v1", description="runs one SQL statement, exactly once")
def sql(args: Statement, step: Step) -> Rows:
    """Run the statement; its effects are committed together with the step, or not at all."""
    with step.connection() as connection:
        cursor = connection.execute(args.sql, args.params)
        if connection.info.transaction_status.name == _IDLE:
            raise Abort("the statement ended the transaction of its step: leave out COMMIT and ROLLBACK")
        rows: list[tuple[Any, ...]] = []
        columns: list[str] = []
        if cursor.description is not None:
            columns = [column.name for column in cursor.description]
            rows = cursor.fetchmany(MAX_ROWS + 1)
        if len(rows) > MAX_ROWS:
            raise Abort(
                f"the statement returned more than {MAX_ROWS:,} rows: add a LIMIT, or write to a table"
            )
        return Rows(rows=[dict(zip(columns, row, strict=True)) for row in rows], rowcount=cursor.rowcount)
