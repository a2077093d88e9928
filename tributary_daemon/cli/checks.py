"""What ``trib doctor`` looks at: each check says whether it is well, and what to do when it is not."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tributary_daemon import config as configuration
from tributary_daemon import wiring
from tributary_daemon.cli import cache_check, connections, fleet_checks
from tributary_daemon.cli.findings import Finding
from tributary_daemon.cli.output import document
from tributary_daemon.daemon import embedded
from tributary_daemon.daemon.options import WorkerOptions
from tributary_daemon.errors import DatabaseError, SchemaError, TributaryError
from tributary_daemon.handlers.discovery import discover
from tributary_daemon.store import db, server
from tributary_daemon.store.migrations import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tributary_daemon.cli.findings import Level
    from tributary_daemon.config import Config

OLDEST: Final = 15
NEWEST: Final = 18
SKEW_SECONDS: Final = 1.0


def examine(config: Config, say: Callable[[str], None]) -> Iterator[Finding]:
    """Look at everything, in an order in which the first failure explains the later ones.

    Args:
        config: merged settings.
        say: prints a message about what takes time.
    """
    yield _python()
    yield from _configuration(config)
    yield from _handlers(config)
    yield from cache_check.examine(config)
    yield _where(config)
    with _caught() as faults:
        url = wiring.database_url(config, say=say)
        with db.connect(url, application_name="trib doctor") as connection:
            row = db.run(connection, server.facts())
            yield Finding("connection", "ok", f"logged in as {row.user}, database {row.database}")
            yield _server(row)
            yield _clock(row)
            yield from connections.own(connection, url, row, config)
            verdict = _schema(connection, config, row)
            yield verdict
        if verdict.level == "ok":
            with wiring.open_reader(config, say=say) as reader:
                alive = [worker for worker in document(reader.workers()) if worker["alive"]]
                yield from connections.fleet(row, alive, config, pooled=connection.pooled)
                yield from fleet_checks.examine(reader)
    yield from fleet_checks.endpoint(config.health_listen)
    for error in faults:
        yield Finding("database", "fail", error.message, error.hint, error.exit_code)


@contextmanager
def _caught() -> Iterator[list[TributaryError]]:
    """Collect the error that ends the block: it becomes a finding."""
    faults: list[TributaryError] = []
    try:
        yield faults
    except DatabaseError as error:
        faults.append(error)


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _configuration(config: Config) -> Iterator[Finding]:
    given = [name for name, _, source in config.rows() if source != "built-in"]
    sources = sorted({source for _, _, source in config.rows() if source != "built-in"})
    count = f"{len(given)} setting{'s' if len(given) > 1 else ''}"
    message = f"{count} from {', '.join(sources)}" if given else "built-in values only"
    yield Finding("settings", "ok", message)
    try:
        WorkerOptions.of(config)
    except TributaryError as error:
        yield Finding("settings", "fail", error.message, error.hint, error.exit_code)


def _handlers(config: Config) -> Iterator[Finding]:
    try:
        found = discover(config.handlers)
    except TributaryError as error:
        yield Finding("handlers", "fail", error.message, error.hint, error.exit_code)
        return
    count = len(found.registry.names())
    if not found.failures:
        yield Finding("handlers", "ok", f"{count} found on this machine")
    for failure in found.failures:
        yield Finding(
            "handlers",
            "warn",
            f"{failure.module} does not import: {failure.error.strip().splitlines()[-1]}",
            "mend the module, or take it out of TRIB_HANDLERS; its handlers are not claimed here",
        )


def _where(config: Config) -> Finding:
    if config.database_url is not None:
        source = config.source("database_url")
        return Finding("database", "ok", f"{configuration.mask(config.database_url)} (from {source})")
    state = embedded.status(config.home)
    how = f"running, pid {state.pid}" if state.running else "not running yet"
    if not state.running and not embedded.allowed(os.environ):
        return Finding(
            "database",
            "warn",
            "no TRIB_DATABASE_URL, and a service must ask for the embedded PostgreSQL",
            "set TRIB_DATABASE_URL, or TRIB_EMBEDDED=1",
        )
    return Finding("database", "ok", f"embedded PostgreSQL in {state.data}, {how}; psql '{state.url}'")


def _server(row: server.ServerRow) -> Finding:
    major = row.version_number // 10_000
    if row.in_recovery:
        return Finding(
            "server",
            "fail",
            f"PostgreSQL {row.version} is a standby and takes no writes",
            "use the primary",
            7,
        )
    if not OLDEST <= major <= NEWEST:
        level: Level = "fail" if major < OLDEST else "warn"
        return Finding(
            "server",
            level,
            f"PostgreSQL {row.version} is not one of the tested versions",
            f"use PostgreSQL {OLDEST} to {NEWEST}",
            7 if level == "fail" else 0,
        )
    return Finding("server", "ok", f"PostgreSQL {row.version}")


def _clock(row: server.ServerRow) -> Finding:
    skew = (datetime.now(UTC) - row.now).total_seconds()
    if abs(skew) > SKEW_SECONDS:
        side = "ahead of" if skew > 0 else "behind"
        return Finding(
            "clock",
            "warn",
            f"this machine is {abs(skew):.1f} s {side} the database",
            "run a time service (chrony, systemd-timesyncd) on both; the database's time counts",
        )
    return Finding("clock", "ok", f"within {SKEW_SECONDS:g} s of the database")


def _schema(connection: db.Connection, config: Config, row: server.ServerRow) -> Finding:
    status = check_schema(connection)
    match status.verdict:
        case "missing" if config.auto_migrate and row.may_create:
            return Finding(
                "schema",
                "warn",
                "not there yet",
                "the first command that needs it makes it, or `trib migrate up`",
            )
        case "missing":
            why = (
                "auto_migrate = false"
                if row.may_create
                else f"user {row.user} may not create it: GRANT CREATE ON DATABASE"
            )
            return Finding(
                "schema", "fail", f"not there, and {why}", "run `trib migrate up`", SchemaError.exit_code
            )
        case "older":
            return Finding(
                "schema",
                "fail",
                f"{status.version}, this release needs {status.expected}",
                "run `trib migrate up`",
                SchemaError.exit_code,
            )
        case "unfinished":
            return Finding(
                "schema",
                "fail",
                f"{status.version}, but its functions are not in place",
                "`trib migrate up` is at work, or broke off: run it",
                SchemaError.exit_code,
            )
        case "too_new":
            return Finding(
                "schema",
                "fail",
                f"{status.version} needs protocol {status.min_protocol}",
                "upgrade tributary-daemon on this machine",
                SchemaError.exit_code,
            )
        case "newer_ok":
            return Finding("schema", "ok", f"{status.version}, newer than this release and compatible")
        case "ok":
            if not status.functions_current:
                return Finding(
                    "schema",
                    "warn",
                    f"{status.version}; its functions are not those of this release",
                    "run `trib migrate up` with the newest release that is in use",
                )
            return Finding("schema", "ok", status.version)
