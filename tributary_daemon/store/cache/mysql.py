"""The step cache in MySQL or MariaDB: a table ``step_cache`` in the database that the URL names."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql

from tributary_daemon.errors import ConfigError
from tributary_daemon.store.cache.tables import TableStore

if TYPE_CHECKING:
    from collections.abc import Sequence

_PORT: Final = 3306
_EXISTS: Final = """
    select 1 from information_schema.tables where table_schema = database() and table_name = 'step_cache'
"""
# names and keys are compared byte by byte; a value is text of any characters, up to 16 MiB
_TABLE: Final = """
    create table if not exists step_cache (
        cache_key varchar(64) primary key, tenant_id varchar(300) not null, step_name varchar(200) not null,
        version varchar(200), scope varchar(10) not null, run_id varchar(36), created_at bigint not null,
        filled_at bigint, expires_at bigint, holder_run varchar(36), holder_ordinal int, holder_seq bigint,
        value mediumtext, key step_cache_expires (expires_at)
    ) engine = InnoDB character set utf8mb4 collate utf8mb4_bin
"""


class _Mysql:
    """One connection; see `tables.Dialect`."""

    insert_ignore = "insert ignore"
    binary = "binary"

    def __init__(self, options: dict[str, Any]) -> None:
        self._connection = pymysql.connect(
            **options,
            charset="utf8mb4",
            autocommit=True,
            # how many rows a condition has found is what a swap is told by, changed or not
            client_flag=pymysql.constants.CLIENT.FOUND_ROWS,
        )
        if not self.run(_EXISTS, ())[0]:
            self.run(_TABLE, ())

    def run(self, statement: str, given: Sequence[Any]) -> tuple[list[Any], int]:
        with self._connection.cursor() as cursor:
            changed = cursor.execute(statement.replace("?", "%s"), tuple(given))
            return list(cursor.fetchall()), changed

    def close(self) -> None:
        self._connection.close()


def open_store(url: str, timeout: float) -> TableStore:
    """Return the store at ``mysql://USER:PASSWORD@HOST:PORT/DATABASE``; ``?ssl=true`` asks for TLS.

    ``?unix_socket=PATH`` connects by a socket instead of HOST.

    Raises:
        ConfigError: the URL names no database, or says what is not known.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise ConfigError("the URL of the step cache names no database", hint="mysql://USER@HOST/DATABASE")
    options: dict[str, Any] = {
        "host": parts.hostname or "localhost",
        "port": parts.port or _PORT,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": database,
        # whole seconds, and none is for ever
        **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), max(1, int(timeout))),
    }
    if (path := query.pop("unix_socket", None)) is not None:
        options["unix_socket"] = path
    if query.pop("ssl", "false") in {"true", "1"}:
        options["ssl"] = ssl.create_default_context()
    if query:
        raise ConfigError(
            f"the URL of the step cache says {', '.join(sorted(query))}", hint="known: ssl, unix_socket"
        )
    return TableStore(_Mysql(options))
