"""The sweep over objects of the hook ``blob``, with the database and the hooks that are configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tributary_daemon.cli import failures
from tributary_daemon.config.values import OFF
from tributary_daemon.errors import EncryptionError, NotPossible
from tributary_daemon.hooks.blob import KEY, Blob
from tributary_daemon.hooks.blob_sweep import Swept, claim, owner, sweep
from tributary_daemon.hooks.loading import make
from tributary_daemon.sealing.sources import ring_of
from tributary_daemon.store import membership, references
from tributary_daemon.store.cache.namespaced import identity
from tributary_daemon.store.cache.opening import POSTGRES
from tributary_daemon.store.db import connect
from tributary_daemon.store.migrations import ensure_schema
from tributary_daemon.wiring import database_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tributary_daemon.config import Config


def sweep_blobs(
    config: Config, before: datetime, *, cache_purged: bool, claimed: bool, dry_run: bool
) -> dict[str, Any]:
    """Remove what nothing refers to; return what was found, as `Swept.to_json`.

    Args:
        config: its hooks, its database.
        before: what was written later stays.
        cache_purged: a step cache outside of PostgreSQL is empty.
        claimed: the objects belong to this database, whoever they belonged to.
        dry_run: only count.

    Raises:
        NotPossible: there is no such hook, or not all references can be seen from here.
    """
    blobs = [hook for hook in make(config.hooks) if isinstance(hook, Blob)]
    if not blobs:
        raise NotPossible(
            "no hook `blob` is configured here", hint='trib.toml: [[hooks]] with use = "blob" and its url'
        )
    if config.cache not in (POSTGRES, OFF) and not cache_purged:
        raise NotPossible(
            "results in the step cache may refer to objects, and this one cannot be looked through",
            hint="trib cache purge --all (in memory: restart the workers), then again with --cache-purged",
        )
    url = database_url(config, say=failures.say)
    connection = connect(url, application_name="trib blobs")
    try:
        ensure_schema(url, config, connection=connection)
        if config.tenant or not references.sees_all(connection):
            raise NotPossible(
                "only what belongs to one tenant can be seen from here, and objects belong to all",
                hint="log in as somebody who acts for all tenants, without --tenant",
            )
        shards, ring = membership.shard_count(connection), ring_of(config)

        def texts() -> Iterator[str]:
            try:
                yield from references.texts(connection, shards, KEY, ring)
            except EncryptionError as error:
                raise NotPossible(f"nothing is removed: {error.message}", hint=error.hint) from error

        if not dry_run:
            _own(blobs, identity(connection), claimed=claimed)
        found = Swept(dry_run=dry_run)
        for blob in blobs:
            found += sweep(blob, texts, before, dry_run=dry_run)
    finally:
        connection.close()
    return found.to_json()


def _own(blobs: list[Blob], database: str, *, claimed: bool) -> None:
    """Make sure that all these objects belong to a database: another one's references are not seen here.

    Raises:
        NotPossible: they do not, or nobody knows.
    """
    for blob in blobs:
        known = None if claimed else owner(blob)
        if claimed:
            claim(blob, database)
        elif known is None:
            raise NotPossible(
                f"whose objects are at {blob.url} is not known: another database there would lose its own",
                hint="make sure that this database alone uses the url, then once: trib blobs sweep --claim",
            )
        elif known != database:
            raise NotPossible(
                f"the objects at {blob.url} belong to another database, which may refer to them",
                hint="give each database its own url; if this one was moved or restored: --claim",
            )
