"""Many intents of one name at once, by COPY."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from tributary_daemon import codec
from tributary_daemon.client import options
from tributary_daemon.client.submitting import check_payload
from tributary_daemon.errors import InvalidInput, TributaryError
from tributary_daemon.model import ids
from tributary_daemon.sealing.envelope import Field, Origin
from tributary_daemon.store import copying, db, faults, submit
from tributary_daemon.store.sight import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tributary_daemon.client.calls import SubmitOptions
    from tributary_daemon.client.options import Settings
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import AsyncConnection, Connection


def encode(name: str, payloads: Iterable[Any], settings: Settings) -> list[str]:
    """Return the payloads as JSON texts, all checked before anything is stored.

    Raises:
        InvalidInput: one of them is refused; the message says which.
    """
    limit = settings.max_payload
    texts = []
    for index, payload in enumerate(payloads):
        what = f"payloads[{index}]"
        text = codec.dumps({} if payload is None else payload, what=what, max_bytes=limit)
        check_payload(name, text, what=what)
        texts.append(text)
    return texts


def write(
    connection: Connection, name: str, texts: list[str], terms: submit.Terms, keys: Ring | None
) -> list[str]:
    """Write the intents in the transaction that the caller has begun; return their ids in order."""
    prepared = db.run(connection, submit.prepare(name, terms))
    if not prepared.direct or "correlation" in terms.submit:
        return db.run(connection, within(None, submit.one_by_one(name, texts, terms, prepared.run_at), keys))
    batch = _batch(name, prepared, texts, keys)
    with _translated(), connection.cursor() as cursor:
        with cursor.copy(copying.COPY_STEPS) as copy:
            for block in batch.steps():
                copy.write(block)
        if batch.away:
            with cursor.copy(copying.COPY_PAYLOADS) as copy:
                for block in batch.payloads():
                    copy.write(block)
    if prepared.state == "available":
        db.run(connection, submit.wake(prepared.queue))
    return batch.ids


async def awrite(
    connection: AsyncConnection, name: str, texts: list[str], terms: submit.Terms, keys: Ring | None
) -> list[str]:
    """Write the intents as `write` does, on an async connection."""
    prepared = await db.arun(connection, submit.prepare(name, terms))
    if not prepared.direct or "correlation" in terms.submit:
        return await db.arun(
            connection, within(None, submit.one_by_one(name, texts, terms, prepared.run_at), keys)
        )
    batch = _batch(name, prepared, texts, keys)
    with _translated():
        async with connection.cursor() as cursor:
            async with cursor.copy(copying.COPY_STEPS) as copy:
                for block in batch.steps():
                    await copy.write(block)
            if batch.away:
                async with cursor.copy(copying.COPY_PAYLOADS) as copy:
                    for block in batch.payloads():
                        await copy.write(block)
    if prepared.state == "available":
        await db.arun(connection, submit.wake(prepared.queue))
    return batch.ids


def _batch(name: str, prepared: submit.Prepared, texts: list[str], keys: Ring | None) -> copying.Batch:
    if keys is None:
        return copying.Batch(name, prepared, texts)
    made = list(ids.new_ids(len(texts)))
    sealed = [
        keys.seal(text, Origin(prepared.tenant, own, "0", Field.PAYLOAD))
        for own, text in zip(made, texts, strict=True)
    ]
    return copying.Batch(name, prepared, sealed, made)


def terms(settings: Settings, given: SubmitOptions) -> submit.Terms:
    """Return the options of all intents.

    Raises:
        InvalidInput: one is malformed, or one that only single submits have: key, labels, unique, expires.
    """
    made = options.terms(settings, **given)
    if made.key is not None or made.labels or made.special:
        raise InvalidInput(
            "submit_many takes neither idempotency key nor labels, unique or expires",
            hint="submit one by one",
        )
    return made


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TributaryError:
        raise
    except psycopg.Error as error:
        raise faults.translate(error) from error
