"""Connections, SQL files, and the runner of sans-I/O operations: the only place that opens connections."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from weakref import WeakSet

import psycopg
from psycopg import IsolationLevel, conninfo
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.types.json import set_json_loads

from tributary_daemon.errors import DatabaseError, DatabaseUnreachable, SchemaError
from tributary_daemon.sealing.box import loads
from tributary_daemon.store import faults, session
from tributary_daemon.store.lent import AsyncLent, Lent
from tributary_daemon.store.watched import SILENCE, AsyncWatched, Watched

if TYPE_CHECKING:
    from tributary_daemon.store.session import Peer

T = TypeVar("T")
W = TypeVar("W", bound=Watched)
AW = TypeVar("AW", bound=AsyncWatched)
Row: TypeAlias = tuple[Any, ...]
Connection: TypeAlias = psycopg.Connection[Row]
AsyncConnection: TypeAlias = psycopg.AsyncConnection[Row]

# A dead peer is noticed within 30 s, sending (tcp_user_timeout, ms) or idle (20 + 2 * 5 s).
_NETWORK = {
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 30_000,
}
# several hosts are tried one after the other, and a lease does not wait for long
_ONE_HOST = 10
_EACH_HOST = 3
_NO_LIMITS: Mapping[str, str] = MappingProxyType({})

# autocommit connections whose single statements would run at another isolation level
_OTHER_DEFAULT: WeakSet[Connection | AsyncConnection] = WeakSet()


class Query(NamedTuple):
    """One statement with its parameters; ``sql`` has psycopg's placeholders.

    Attributes:
        alone: what is sent instead where the statement is a transaction of its own: a CALL that commits.
    """

    sql: str
    params: Mapping[str, Any] | Sequence[Any] = ()
    alone: str | None = None


Operation: TypeAlias = Generator[Query, list[Row], T]
"""Yields each Query to execute, is sent its rows (empty if it returns none), and returns the result."""


def connect(
    url: str,
    *,
    application_name: str,
    autocommit: bool = True,
    connect_timeout: float | None = None,
    prepare_threshold: int | None = None,
    limits: Mapping[str, str] = _NO_LIMITS,
) -> Watched:
    """Open a connection.

    Every transaction that psycopg begins on it says READ COMMITTED itself. Where the role or database has
    another default, the session gets this one; behind a pooler, where no session state is left, ``run``
    begins a transaction for each Query. What else our statements rely on is set, too (`session.Peer.mends`).

    With several hosts in the URL, the one that takes writes is looked for, unless the URL says otherwise.

    Args:
        url: libpq URL or key=value string; what it sets itself wins over the defaults here.
        application_name: shown in pg_stat_activity.
        autocommit: as in psycopg.
        connect_timeout: seconds, for each host of the URL; 10, or 3 where there are several.
        prepare_threshold: after how many uses a statement is prepared; None is never, as behind any pooler.
        limits: settings of the session (`session.OWN`, `session.STEP`); not set through a pooler.

    Raises:
        DatabaseUnreachable: no server, login refused, or database missing; the message says which.
    """
    return _open(
        Watched, url, application_name, limits=limits, autocommit=autocommit,
        connect_timeout=connect_timeout, prepare_threshold=prepare_threshold,
    )  # fmt: skip


def lend(url: str, *, application_name: str) -> Lent:
    """Open a connection whose transaction finishes a step, for its handler; errors as for ``connect``."""
    return _open(Lent, url, application_name, limits=session.STEP, autocommit=False)


def _open(
    kind: type[W],
    url: str,
    application_name: str,
    *,
    limits: Mapping[str, str],
    autocommit: bool,
    connect_timeout: float | None = None,
    prepare_threshold: int | None = None,
) -> W:
    try:
        connection = kind.connect(
            _complete(url, application_name, connect_timeout),
            autocommit=True,
            prepare_threshold=prepare_threshold,
        )
    except psycopg.Error as error:
        raise faults.unreachable(error, url) from None
    try:
        if limits is not session.STEP:
            # what is sealed is opened by whoever knows where it stands
            set_json_loads(loads, connection)
        connection.silence = SILENCE
        greeted = run(connection, _greeting(limits, connection.info.backend_pid))
        connection.silence = None
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        connection.autocommit = autocommit
        _note(connection, greeted)
    except BaseException as error:
        connection.close()
        if isinstance(error, DatabaseError):
            # what serves not even a greeting, cut by a limit of time maybe, is no connection
            raise DatabaseUnreachable(error.message, hint=error.hint) from error
        raise
    return connection


async def aconnect(
    url: str,
    *,
    application_name: str,
    autocommit: bool = True,
    connect_timeout: float | None = None,
    prepare_threshold: int | None = None,
    limits: Mapping[str, str] = _NO_LIMITS,
) -> AsyncWatched:
    """Open an async connection; arguments and errors as for ``connect``."""
    return await _aopen(
        AsyncWatched, url, application_name, limits=limits, autocommit=autocommit,
        connect_timeout=connect_timeout, prepare_threshold=prepare_threshold,
    )  # fmt: skip


async def alend(url: str, *, application_name: str) -> AsyncLent:
    """Do what ``lend`` does."""
    return await _aopen(AsyncLent, url, application_name, limits=session.STEP, autocommit=False)


async def _aopen(
    kind: type[AW],
    url: str,
    application_name: str,
    *,
    limits: Mapping[str, str],
    autocommit: bool,
    connect_timeout: float | None = None,
    prepare_threshold: int | None = None,
) -> AW:
    try:
        connection = await kind.connect(
            _complete(url, application_name, connect_timeout),
            autocommit=True,
            prepare_threshold=prepare_threshold,
        )
    except psycopg.Error as error:
        raise faults.unreachable(error, url) from None
    try:
        if limits is not session.STEP:
            set_json_loads(loads, connection)
        connection.silence = SILENCE
        greeted = await arun(connection, _greeting(limits, connection.info.backend_pid))
        connection.silence = None
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await connection.set_autocommit(autocommit)
        _note(connection, greeted)
    except BaseException as error:
        await connection.close()
        if isinstance(error, DatabaseError):
            raise DatabaseUnreachable(error.message, hint=error.hint) from error
        raise
    return connection


def _greeting(limits: Mapping[str, str], login_pid: int) -> Operation[Peer]:
    text, params = session.greeting(query("session_limits") if limits else "", limits, login_pid)
    rows = yield Query(text, params or ())
    peer = session.peer(rows[0], login_pid)
    mends = peer.mends(limits)
    if mends:
        yield Query(*session.mending(mends))
    return replace(peer, isolation=mends.get("default_transaction_isolation", peer.isolation))


def _note(connection: Watched | AsyncWatched, peer: Peer) -> None:
    """Keep what the greeting told: nothing may be prepared where the server changes under a connection."""
    connection.pooled = peer.pooled
    if peer.pooled:
        connection.prepare_threshold = None
    if connection.autocommit and peer.isolation != "read committed":
        _OTHER_DEFAULT.add(connection)


def _complete(url: str, application_name: str, connect_timeout: float | None) -> str:
    given = conninfo.conninfo_to_dict(url)
    several = "," in str(given.get("hostaddr") or given.get("host") or "")
    seconds = connect_timeout or (_EACH_HOST if several else _ONE_HOST)
    ours: dict[str, str | int] = {
        **_NETWORK,
        "application_name": application_name,
        # libpq counts whole seconds and takes 0 for ever
        "connect_timeout": max(1, round(seconds)),
    }
    if several:
        ours["target_session_attrs"] = "read-write"
    ours = {key: value for key, value in ours.items() if key not in given}
    # Python's text is Unicode, whatever role or environment say
    return conninfo.make_conninfo(url, **ours, client_encoding="utf8")


def run(connection: Connection, operation: Operation[T]) -> T:
    """Execute what ``operation`` yields and return its result.

    The connection's transaction is used as it stands: on an autocommit connection each Query is a
    transaction of its own, unless the caller wraps the call in ``connection.transaction()``.

    Raises:
        TributaryError: psycopg's errors, translated.
    """
    try:
        query = next(operation)
        while True:
            query = operation.send(_execute(connection, query))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        operation.close()


async def arun(connection: AsyncConnection, operation: Operation[T]) -> T:
    """Execute what ``operation`` yields on an async connection; otherwise as ``run``."""
    try:
        query = next(operation)
        while True:
            query = operation.send(await _aexecute(connection, query))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        operation.close()


def _execute(connection: Connection, query: Query) -> list[Row]:
    try:
        if query.alone is not None and _commits_alone(connection):
            cursor = connection.execute(query.alone.encode(), query.params or None)
            return cursor.fetchall()
        with connection.transaction() if _needs_begin(connection) else nullcontext():
            cursor = connection.execute(query.sql.encode(), query.params or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise faults.translate(error) from error


async def _aexecute(connection: AsyncConnection, query: Query) -> list[Row]:
    try:
        if query.alone is not None and _commits_alone(connection):
            cursor = await connection.execute(query.alone.encode(), query.params or None)
            return await cursor.fetchall()
        async with connection.transaction() if _needs_begin(connection) else nullcontext():
            cursor = await connection.execute(query.sql.encode(), query.params or None)
            return await cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise faults.translate(error) from error


def reads_committed(connection: Connection) -> bool:
    """Return whether a pipeline on an autocommit connection runs at READ COMMITTED without a BEGIN."""
    return not (getattr(connection, "pooled", False) or connection in _OTHER_DEFAULT)


def _commits_alone(connection: Connection | AsyncConnection) -> bool:
    return (
        connection.autocommit
        and connection not in _OTHER_DEFAULT
        and connection.info.transaction_status == TransactionStatus.IDLE
        and connection.pgconn.pipeline_status == PipelineStatus.OFF
    )


def _needs_begin(connection: Connection | AsyncConnection) -> bool:
    return connection in _OTHER_DEFAULT and connection.info.transaction_status == TransactionStatus.IDLE


@cache
def sql_dir() -> Path:
    """Return the directory that holds ``migrations``, ``functions`` and ``queries``.

    Raises:
        SchemaError: the installation carries no SQL files.
    """
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "_sql", package.parent / "sql"):
        if candidate.is_dir():
            return candidate
    raise SchemaError("this installation has no SQL files", hint="reinstall tributary-daemon")


@cache
def query(name: str) -> str:
    """Return the text of ``sql/queries/<name>.sql``.

    Raises:
        SchemaError: there is no such query.
    """
    path = sql_dir() / "queries" / f"{name}.sql"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SchemaError(f"there is no query '{name}'", hint="reinstall tributary-daemon") from None
