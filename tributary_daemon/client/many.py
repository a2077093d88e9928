"""Many intents of one name at once, by COPY."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from tributary_daemon import codec
from tributary_daemon.client import options
from tributary_daemon.client.submitting import check_payload
from tributary_daemon.errors import InvalidInput, TributaryError
from tributary_daemon.store import db, faults, submit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tributary_daemon.client.calls import SubmitOptions
    from tributary_daemon.client.options import Settings
    from tributary_daemon.store.db import AsyncConnection, Connection


def encode(name: str, payloads: Iterable[Any], settings: Settings) -> list[str]:
    """Return the payloads as JSON texts, all checked before anything is stored.

    Raises:
        InvalidInput: one of them is refused; the message says which.
    """
    texts = []
    for index, payload in enumerate(payloads):
        text = codec.dumps(
            {} if payload is None else payload, what=f"payloads[{index}]", max_bytes=settings.max_payload
        )
        check_payload(name, text, what=f"payloads[{index}]: ")
        texts.append(text)
    return texts


def write(connection: Connection, name: str, texts: list[str], terms: submit.Terms) -> list[str]:
    """Write the intents in the transaction that the caller has begun; return their ids in order."""
    prepared = db.run(connection, submit.prepare(name, terms))
    places = list(submit.slots(len(texts), prepared.shards))
    with _translated(), connection.cursor() as cursor:
        with cursor.copy(submit.COPY_STEPS) as copy:
            for row in submit.step_rows(name, terms.tenant, prepared, places):
                copy.write_row(row)
        with cursor.copy(submit.COPY_PAYLOADS) as copy:
            for row in submit.payload_rows(prepared, places, texts):
                copy.write_row(row)
    if prepared.state == "available":
        db.run(connection, submit.wake(prepared.queue))
    return [str(new) for new, _ in places]


async def awrite(connection: AsyncConnection, name: str, texts: list[str], terms: submit.Terms) -> list[str]:
    """Write the intents as `write` does, on an async connection."""
    prepared = await db.arun(connection, submit.prepare(name, terms))
    places = list(submit.slots(len(texts), prepared.shards))
    with _translated():
        async with connection.cursor() as cursor:
            async with cursor.copy(submit.COPY_STEPS) as copy:
                for row in submit.step_rows(name, terms.tenant, prepared, places):
                    await copy.write_row(row)
            async with cursor.copy(submit.COPY_PAYLOADS) as copy:
                for row in submit.payload_rows(prepared, places, texts):
                    await copy.write_row(row)
    if prepared.state == "available":
        await db.arun(connection, submit.wake(prepared.queue))
    return [str(new) for new, _ in places]


def terms(settings: Settings, given: SubmitOptions) -> submit.Terms:
    """Return the options of all intents.

    Raises:
        InvalidInput: one is malformed, or it is an idempotency key or labels, which only single submits have.
    """
    made = options.terms(settings, **given)
    if made.key is not None or made.labels:
        raise InvalidInput("submit_many takes neither idempotency key nor labels", hint="submit one by one")
    return made


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except TributaryError:
        raise
    except psycopg.Error as error:
        raise faults.translate(error) from error
