"""The hot path's database side: claims and finishes in one pipeline, one round trip, one commit."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg

from tributary_daemon.store import faults
from tributary_daemon.store.arrays import numbers, quoted
from tributary_daemon.store.db import reads_committed
from tributary_daemon.store.finishes import exchange_params, finish_params
from tributary_daemon.store.histories import KEEP_HISTORY, history_params
from tributary_daemon.store.lanes import Lane, Opening, Scouted, Survey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tributary_daemon.store.db import AsyncConnection, Connection, Row
    from tributary_daemon.store.finishes import Ended, Finish, Token
    from tributary_daemon.store.lanes import ClaimRequest

    _Statement = tuple[LiteralString, Sequence[Any]]

_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_CLAIM: Final = """
    select run_id::text, ordinal, seq, kind::text, name, step_id, queue, attempt, max_attempts, crashes,
           payload, attempt_base, options, flags, priority, tenant_id, item_key, lone_crashes,
           tid::text, 0
    from tributary.claim_leases(%s::smallint, %s, %s::text[], %s::smallint[], %s::text[], %s::bigint[],
                               %s::text[], %s)
"""
_FINISH: Final = """
    select run_id::text, ordinal, seq
    from tributary.finish_leases(%s::smallint, %s, %s::tid[], %s::uuid[], %s::int[], %s::bigint[],
                                 %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s,
                                 %s::text[], %s::text[], %s)
"""
_EXCHANGE: Final = """
    select run_id::text, ordinal, seq, kind::text, name, step_id, queue, attempt, max_attempts, crashes,
           payload, attempt_base, options, flags, priority, tenant_id, item_key, lone_crashes,
           tid::text, case how when 'next' then 1 when 'some' then 2 else 0 end, how = 'refused'
    from tributary.exchange_leases(%s::smallint, %s, %s::tid[], %s::uuid[], %s::int[], %s::bigint[],
                                  %s::text[], %s::float8[], %s::text[], %s::text[], %s,
                                  %s::text[], %s::smallint[], %s::text[], %s::bigint[], %s)
"""
# the setting comes first, as the function needs it. A statement of its own would be another round trip, and
# in a pipeline the server forgets that it waits: what psycopg sends behind the end of one stops the clock
_FINISH_ON: Final = """
    select run_id::text, ordinal, seq
    from pg_catalog.set_config('idle_in_transaction_session_timeout', %s, true) as waits (wait)
    cross join lateral tributary.finish_leases(
        %s::smallint, %s, %s::tid[], %s::uuid[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[],
        %s::float8[], %s::float8[], %s, %s::text[], %s::text[], %s + 0 * pg_catalog.length(waits.wait))
"""
# columns of what a claim returns; the last is there after a finish alone
_SEQ: Final = itemgetter(2)
_PRIORITY: Final = itemgetter(14)
_REFUSED: Final = 20
_COMMIT_WITHIN: Final = "5s"
_LANES: Final = """
    select queue, priority, tenant_id, first_seq, limited, opens_in
    from tributary.survey_lanes(%s::smallint, %s::text[], 1000)
"""
_NEWS: Final = """
    select queue, priority, tenant_id, first_seq, limited, opens_in
    from tributary.survey_news(%s::smallint, %s::text[], %s::text[], %s::smallint[], %s::text[], %s::bigint[])
"""
_SHARDS: Final = """
    select shard, queue, priority, tenant_id, first_seq, limited, opens_in, waited
    from tributary.survey_shards(%s::smallint[], %s::text[])
"""
_FREED: Final = "select tributary.wake_freed(%s::text[])"
_WINDOW: Final = "select tributary.window_end(%s::smallint, %s, %s::smallint, %s, %s)"
_PROMOTE: Final = "select tributary.promote(%s::smallint, 500)"
_WAITS: Final = "select tributary.fire_waits(%s::smallint, 500)"
_GROUPS: Final = "select tributary.promote_groups(%s::smallint, 100)"
_STARTED: Final = """
    select run_id::text, ordinal, seq
    from tributary.mark_started(%s::smallint, %s::uuid[], %s::int[], %s::bigint[])
"""
_RECONCILE: Final = """
    select run_id::text, ordinal, seq
    from tributary.reconcile(%s::smallint, %s, %s::uuid[], %s::int[], %s::bigint[])
"""
_EXPLAINED: Final = """
    select h.run_id::text, h.ordinal, h.seq
    from unnest(%s::uuid[], %s::int[], %s::bigint[]) as h(run_id, ordinal, seq)
    join tributary.steps as s on s.shard = %s::smallint and s.run_id = h.run_id and s.ordinal = h.ordinal
    where s.state = 'cancelled' or (s.state = 'completed' and s.seq = h.seq)
"""


class Leases:
    """Claims and finishes of one process on one connection (autocommit off between calls).

    Args:
        connection: in autocommit mode, used by one thread.
        process_id: from `membership.register_process`.
        names: handler names that are claimed.
        queues: queues that are claimed, for the wake-up rule of a finish.
    """

    def __init__(
        self, connection: Connection, process_id: int, names: Iterable[str], queues: Iterable[str]
    ) -> None:
        self.connection = connection
        self._process_id = process_id
        self._names = quoted(names)
        self._queues = quoted(queues)

    def exchange(
        self,
        shard: int,
        ended: Sequence[Ended],
        claims: Sequence[ClaimRequest],
        freed: Collection[str] = (),
    ) -> tuple[list[Token], list[list[Row]]]:
        """Write outcomes and claim, in one transaction and one round trip.

        Where steps of runs have all completed, what becomes ready by it and is next in line is taken with the
        claim that follows up on it.

        Args:
            shard: of all of it.
            ended: outcomes.
            claims: what to claim; of those that follow up the first does.
            freed: keys of limits under which attempts have ended: others are told of what room is left.

        Returns:
            the refused tokens (LeaseLost), and for each request its rows in order of seq; their last column
            is 1 for what became ready by this very exchange, 2 if there was no room for all of that, or 0.

        Raises:
            psycopg.OperationalError: the connection died; whether the transaction committed is unknown.
            psycopg.InternalError: the server became read-only under it.
            psycopg.ProgrammingError: the schema, or a right to it, is not there (`faults.UNUSABLE`).
            TributaryError: the database refused.
        """
        free = sum(request.most for request in claims)
        # made beforehand: the server does not wait for them in the middle of the transaction
        finish = self._finish_params(shard, ended, free) if ended else None
        histories = history_params(shard, ended)
        wanted = [self._claim_params(shard, request) for request in claims]
        steps = finish is not None and finish.tids is not None and finish.has_runs
        both = _follow_up(claims) if steps else None
        statements: list[_Statement] = [] if histories is None else [(KEEP_HISTORY, histories)]
        if finish is not None and both is not None:
            statements.append((_EXCHANGE, exchange_params(finish, wanted[both], claims[both].in_all)))
        elif finish is not None:
            statements.append((_FINISH, finish))
        written = len(statements)
        statements += [(_CLAIM, params) for index, params in enumerate(wanted) if index != both]
        claimed = len(statements)
        if freed:
            statements.append((_FREED, (list(freed),)))
        try:
            cursors = _at_once(self.connection, statements)
            answer = cursors[written - 1].fetchall() if finish is not None else []
            rows = [_by_preference(cursor.fetchall()) for cursor in cursors[written:claimed]]
            if both is not None:
                rows.insert(both, _by_preference([row for row in answer if not row[_REFUSED]]))
                answer = [row for row in answer if row[_REFUSED]]
            refused = [(row[0], row[1], row[2]) for row in answer]
        except (psycopg.OperationalError, psycopg.InternalError, *faults.UNUSABLE):
            raise
        except psycopg.Error as error:
            self._rollback()
            raise faults.translate(error) from error
        return refused, rows

    def survey(self, shard: int, known: Sequence[Lane], lows: Sequence[int | None]) -> Survey:
        """Return which other lanes are ready, of these those with a low, and what is not to be claimed."""
        params = (shard, self._queues, *_lanes(known, lows))
        return _survey(self.connection.execute(_NEWS, params).fetchall())

    def survey_shards(self, shards: Sequence[int]) -> Scouted:
        """Return what is ready in these shards, and where something is due."""
        rows = self.connection.execute(_SHARDS, (numbers(shards), self._queues)).fetchall()
        openings = {row[1]: Opening(row[1], row[5], row[6]) for row in rows if row[0] is None}
        found = Scouted({}, {}, [row[0] for row in rows if row[0] is not None and row[1] is None])
        for shard, queue, priority, tenant, first, _, _, waited in rows:
            if shard is not None and queue is not None:
                survey = found.surveys.setdefault(shard, Survey([], list(openings.values())))
                survey.lanes.append((Lane(queue, priority, tenant), first))
                found.waited[shard] = max(waited, found.waited.get(shard, 0.0))
        return found

    def promote_and_survey(self, shard: int) -> tuple[int, Survey]:
        """End due waits, make due rows and heirs of groups available; return how many, and what is ready."""
        with self.connection.pipeline() as pipeline:
            # in a transaction of its own: it locks runs, and what follows waits for nothing
            fired = self.connection.execute(_WAITS, (shard,))
            pipeline.sync()
            # first: who cancels for a group waits for locks, and holds none
            given = self.connection.execute(_GROUPS, (shard,))
            promoted = self.connection.execute(_PROMOTE, (shard,))
            cursor = self.connection.execute(_LANES, (shard, self._queues))
        moved = fired.fetchall()[0][0] + promoted.fetchall()[0][0] + given.fetchall()[0][0]
        return moved, _survey(cursor.fetchall())

    def window_end(self, shard: int, lane: Lane, low: int) -> int | None:
        """Return the seq 20,000 available rows past ``low``; None when fewer are left."""
        row = self.connection.execute(
            _WINDOW, (shard, lane.queue, lane.priority, lane.tenant, low)
        ).fetchone()
        return row[0] if row else None

    def mark_started(self, shard: int, tokens: Sequence[Token]) -> set[Token]:
        """Record the start of at-most-once attempts; return the tokens that still stand."""
        rows = self.connection.execute(_STARTED, (shard, *_columns(tokens))).fetchall()
        return {(row[0], row[1], row[2]) for row in rows}

    def reconcile(self, shard: int, tokens: Sequence[Token]) -> list[Token]:
        """Return which held tokens are lost; what this process owns without holding it is released."""
        rows = self.connection.execute(_RECONCILE, (shard, self._process_id, *_columns(tokens))).fetchall()
        return [(row[0], row[1], row[2]) for row in rows]

    def reconcile_all(self, held: Mapping[int, Sequence[Token]]) -> dict[int, list[Token]]:
        """Return what `reconcile` does for each of several shards: one round trip, a transaction for each."""
        if len(held) == 1:
            return {shard: self.reconcile(shard, tokens) for shard, tokens in held.items()}
        with self.connection.pipeline() as pipeline:
            cursors = {}
            for shard, tokens in held.items():
                params = (shard, self._process_id, *_columns(tokens))
                cursors[shard] = self.connection.execute(_RECONCILE, params)
                pipeline.sync()
        return {
            shard: [(row[0], row[1], row[2]) for row in cursor.fetchall()]
            for shard, cursor in cursors.items()
        }

    def explained(self, shard: int, lost: Sequence[Token]) -> set[Token]:
        """Return those of the lost tokens that are no surprise.

        Somebody has cancelled their step, or they have completed it themselves, on the step's connection, and
        whoever did so had not said it yet.
        """
        rows = self.connection.execute(_EXPLAINED, (*_columns(lost), shard)).fetchall()
        return {(row[0], row[1], row[2]) for row in rows}

    def _finish_params(self, shard: int, ended: Sequence[Ended], free: int) -> Finish:
        return finish_params(shard, self._process_id, ended, (self._queues, self._names, free))

    def _claim_params(self, shard: int, request: ClaimRequest) -> tuple[Any, ...]:
        return (
            shard,
            self._process_id,
            *_lanes(request.lanes, request.lows),
            self._names,
            request.most,
        )

    def _rollback(self) -> None:
        if not self.connection.closed:
            self.connection.rollback()


def save_progress(connection: Connection, shard: int, token: Token, details: str) -> bool:
    """Keep the details of a heartbeat; False when the token no longer stands."""
    row = connection.execute(
        "select tributary.save_progress(%s::smallint, %s::uuid, %s, %s, %s::jsonb)", (shard, *token, details)
    ).fetchone()
    return bool(row and row[0])


def finish_on(connection: Connection, shard: int, process_id: int, ended: Ended) -> bool:
    """Finish one step inside an open transaction; False when its token no longer stands.

    From then on that transaction has locked the step and its run, so the server does not wait for long for
    the commit: one whose host has been cut off in between would keep others from both, and a rescue too.
    """
    return not connection.execute(_FINISH_ON, _params_on(shard, process_id, ended)).fetchall()


async def afinish_on(connection: AsyncConnection, shard: int, process_id: int, ended: Ended) -> bool:
    """Do what `finish_on` does."""
    cursor = await connection.execute(_FINISH_ON, _params_on(shard, process_id, ended))
    return not await cursor.fetchall()


def _params_on(shard: int, process_id: int, ended: Ended) -> tuple[Any, ...]:
    return _COMMIT_WITHIN, *finish_params(shard, process_id, [ended], ("{}", "{}", 0))


def _at_once(connection: Connection, statements: Sequence[_Statement]) -> list[psycopg.Cursor[Row]]:
    """Execute statements in one transaction and one round trip."""
    # a pipeline is one transaction anyhow; what a BEGIN and a COMMIT would bring back to be read makes
    # this thread ask for the interpreter twice as often, in line behind the handlers
    begins = not reads_committed(connection)
    if len(statements) == 1 and not begins:
        # which a pipeline would send in three pieces
        sql, params = statements[0]
        return [connection.execute(sql, params, prepare=True)]
    with connection.pipeline():
        if begins:
            connection.execute(_BEGIN)
        cursors = [connection.execute(sql, params, prepare=True) for sql, params in statements]
        if begins:
            connection.execute("COMMIT")
    return cursors


def _follow_up(claims: Sequence[ClaimRequest]) -> int | None:
    return next((index for index, request in enumerate(claims) if request.follows_up), None)


def _lanes(lanes: Sequence[Lane], lows: Sequence[int | None]) -> tuple[str, str, str, str]:
    return (
        quoted(lane.queue for lane in lanes),
        numbers(lane.priority for lane in lanes),
        quoted(lane.tenant for lane in lanes),
        numbers(lows),
    )


def _survey(rows: Sequence[Row]) -> Survey:
    lanes = [(Lane(row[0], row[1], row[2]), row[3]) for row in rows if row[3] is not None]
    openings = {row[0]: Opening(row[0], row[4], row[5]) for row in rows if row[4] or row[5] != 0}
    return Survey(lanes, list(openings.values()))


def _columns(tokens: Sequence[Token]) -> tuple[list[str], list[int], list[int]]:
    return [token[0] for token in tokens], [token[1] for token in tokens], [token[2] for token in tokens]


def _by_preference(rows: list[Row]) -> list[Row]:
    """Sort by priority, greatest first, then by seq: twice, which is stable, with keys that take no call."""
    rows.sort(key=_SEQ)
    rows.sort(key=_PRIORITY, reverse=True)
    return rows
