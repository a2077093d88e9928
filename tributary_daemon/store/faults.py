"""What psycopg reports, as errors of the tree: one place that knows SQLSTATEs and libpq's wording."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg import conninfo

from tributary_daemon.errors import (
    DatabaseError,
    DatabaseUnreachable,
    InvalidInput,
    KeyConflict,
    NotFound,
    NotPossible,
    SchemaError,
    TributaryError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OWN_STATES: dict[str, type[TributaryError]] = {
    "TR001": InvalidInput,
    "TR002": KeyConflict,
    "TR003": NotFound,
    "TR004": NotPossible,
    "TR005": SchemaError,
}
"""SQLSTATEs that the functions under ``sql/functions`` raise."""

UNUSABLE: Final = (
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InsufficientPrivilege,
)
"""What our own statements raise where the schema, or a right to it, is missing."""

_GONE = frozenset({"57P01", "57P02", "57P03", "57P05"})
# too long, out of range, no date, wrong character, wrong parameter, no such text, untranslatable
_BAD_VALUE = frozenset({"22001", "22003", "22007", "22008", "22021", "22023", "22P02", "22P03", "22P05"})
_NO_SCHEMA = frozenset({"3F000", "42P01", "42883"})
_MIGRATE = "run `trib migrate up`, or `trib migrate status` to see what is missing"
_PREFIX = re.compile(
    r"^(?:connection failed: )?connection (?:to server .*?|is bad:?) ?failed: |^connection is bad: ",
    re.DOTALL,
)

# (pattern in libpq's or the server's words, message about {place} {user} {dbname}, hint)
_LOGIN: tuple[tuple[str, str, str], ...] = (
    (
        r"password authentication failed|no password supplied",
        "login refused: {place} does not accept the password of user '{user}'",
        "check user and password in TRIB_DATABASE_URL; percent-encode special characters (@ is %40)",
    ),
    (
        r'role "[^"]*" does not exist',
        "login refused: {place} has no user '{user}'",
        "check the user in TRIB_DATABASE_URL, or create it with `createuser`",
    ),
    (
        r"authentication failed|no pg_hba\.conf entry",
        "login refused: {place} does not let user '{user}' in",
        "check user and host, and the server's pg_hba.conf",
    ),
    (
        r'database "[^"]*" does not exist',
        "database '{dbname}' does not exist on {place}",
        "create it with `createdb`, or check the name in TRIB_DATABASE_URL",
    ),
    (
        r"is not currently accepting connections",
        "database '{dbname}' on {place} accepts no connection",
        "ALTER DATABASE … ALLOW_CONNECTIONS true, once whoever has closed it is done",
    ),
    (
        r"permission denied for database",
        "user '{user}' may not connect to database '{dbname}' on {place}",
        "GRANT CONNECT ON DATABASE to this user, or use another one",
    ),
    (
        r"too many clients|remaining connection slots|too many connections",
        "{place} has no free connection left",
        "raise max_connections, lower the number of processes, or put a pooler in front",
    ),
    (
        r"is starting up|is shutting down|not yet accepting connections|in recovery mode",
        "{place} is starting or stopping and accepts no connection now",
        "try again in a few seconds",
    ),
    (
        r"session is read-only",
        "no server that takes writes answers at {place}",
        "promote a standby, or wait for it; target_session_attrs in the URL says what is looked for",
    ),
    (
        r"could not translate host name|[Nn]ame or service not known|nodename nor servname|failure in name",
        "the host of {place} cannot be resolved",
        "check the host in TRIB_DATABASE_URL",
    ),
    (
        r"Connection refused|No such file or directory|No route to host|Network is unreachable",
        "no PostgreSQL answers at {place}",
        "start the server, or check host and port in TRIB_DATABASE_URL",
    ),
    (
        r"timeout expired|timed out",
        "{place} did not answer in time",
        "check the host, the port and firewalls between",
    ),
)


def unreachable(error: psycopg.Error, url: str) -> DatabaseError:
    """Return the error for a connection that could not be opened.

    Args:
        error: what psycopg raised on connecting.
        url: libpq URL or key=value string; its password never reaches the message.
    """
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # libpq quotes the part it stumbled over, which may be half of a password
        return DatabaseUnreachable(
            "the database URL cannot be parsed",
            hint="write postgresql://user:password@host:5432/database, special characters percent-encoded",
        )
    names = {
        "place": place(url),
        "user": str(parts.get("user") or "(your system user)"),
        "dbname": str(parts.get("dbname") or parts.get("user") or "(default)"),
    }
    text = str(error)
    for pattern, message, hint in _LOGIN:
        if re.search(pattern, text):
            return DatabaseUnreachable(message.format(**names), hint=hint)
    reason = _PREFIX.sub("", text).strip()
    password = str(parts.get("password") or "")
    if password:
        reason = reason.replace(password, "***")
    return DatabaseUnreachable(
        f"cannot connect to {names['place']}: {reason}",
        hint="check TRIB_DATABASE_URL; `trib doctor` tests it step by step",
    )


def place(url: str) -> str:
    """Return ``host:port`` (or the socket's directory) of a libpq URL for messages, of every host it has."""
    parts = conninfo.conninfo_to_dict(url)
    hosts = str(parts.get("host") or parts.get("hostaddr") or "").split(",")
    # one port is for all of them
    ports = str(parts.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return ", ".join(_place(host, port) for host, port in zip_longest(hosts, ports, fillvalue=""))


def _place(host: str, port: str) -> str:
    if not host:
        return "the local socket"
    return f"the socket in {host}" if host.startswith(("/", "@")) else f"{host}:{port or 5432}"


def translate(error: psycopg.Error) -> TributaryError:
    """Return the error of the tree for what a statement raised.

    The server's message, DETAIL and HINT are kept; SQLSTATE class ``TR`` maps to the errors that our
    functions mean.
    """
    state = error.sqlstate or ""
    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    if error.diag.message_detail:
        message = f"{message}\n  {error.diag.message_detail}"
    hint = error.diag.message_hint
    if state in OWN_STATES:
        return OWN_STATES[state](message, hint=hint)
    return _foreign(error, state, message, hint)


def _foreign(error: psycopg.Error, state: str, message: str, hint: str | None) -> TributaryError:
    make: Callable[..., TributaryError] = DatabaseError
    if state == "42501":
        message = f"no permission: {message}"
        hint = hint or "GRANT the missing right to this database user, or use the schema's owner"
    elif state in _NO_SCHEMA:
        make = SchemaError
        # the server's own hint on 42883 speaks of type casts, which is never the cause here
        hint = _MIGRATE
    elif state in _GONE or (not state and isinstance(error, psycopg.OperationalError)):
        make = DatabaseUnreachable
        message = f"the connection to the database was lost: {message}"
        hint = hint or "it is safe to try again"
    elif state == "25006":
        # nothing was written, so another server may be looked for and the statement repeated
        make = DatabaseUnreachable
        message = f"this server only reads: {message}"
        hint = hint or "point TRIB_DATABASE_URL at the primary server"
    elif state == "55P03":
        message = f"somebody else holds a lock for too long: {message}"
        hint = hint or "nothing was changed; it is safe to try again"
    elif state == "57014":
        message = f"the database cancelled the statement: {message}"
        hint = hint or "nothing was changed; a statement_timeout of this role or database may be too short"
    elif state == "53100":
        message = f"the disk of the database is full: {message}"
        hint = "free space on its machine; nothing was changed, and it is safe to try again"
    elif state == "53200":
        message = f"the database is out of memory: {message}"
        hint = hint or "nothing was changed; it is safe to try again"
    elif isinstance(error, psycopg.DataError) and (not state or state in _BAD_VALUE):
        make = InvalidInput
    elif state:
        message = f"{message} (SQLSTATE {state})"
    return make(message, hint=hint)


class Trouble(NamedTuple):
    """Why a database does not serve, in words for people.

    Attributes:
        kind: equal for what is the same trouble, however its words differ in numbers and places.
        message: one line.
        hint: what to do.
        answers: it has answered, with a refusal.
    """

    kind: str
    message: str
    hint: str | None
    answers: bool


def trouble(error: Exception) -> Trouble:
    """Return what to tell of an error after which the same is tried again."""
    # what a statement raised may have been translated by whoever ran it: it is the same trouble all the same
    raised = error.__cause__ if isinstance(error, TributaryError) else error
    state = (raised.sqlstate or "") if isinstance(raised, psycopg.Error) else ""
    if isinstance(error, psycopg.Error):
        error = translate(error)
    hint = error.hint if isinstance(error, TributaryError) else None
    message = error.message if isinstance(error, TributaryError) else str(error)
    message = message.strip().partition("\n")[0] or type(error).__name__
    answers = bool(state) and state not in _GONE and not state.startswith("08")
    return Trouble(state or message, message, hint, answers)
