"""Recording work: one statement for each intent or run, COPY for many intents."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from tributary_daemon.model import ids
from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What comes with every submit, whatever is submitted.

    Attributes:
        key: idempotency key.
        submit: options given with this submit: ``queue``, ``priority``, ``max_attempts``, ``timeout``
            (seconds), ``retry`` (fields).
        config: the same from the producer's configuration.
        run_at: not before this time.
        delay: not before so many seconds after the database's now; ``run_at`` wins.
        labels: of a run.
        tenant: empty for none.
        private: prefix of the queues, for work that only one process tree serves.
        runner: worker id of that tree.
    """

    key: str | None = None
    submit: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    run_at: datetime | None = None
    delay: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tenant: str = ""
    private: str | None = None
    runner: int | None = None

    def parameters(self) -> dict[str, Any]:
        """Return what every submitting statement takes."""
        return {
            "key": self.key,
            "submit": json.dumps(self.submit),
            "config": json.dumps(self.config),
            "run_at": self.run_at,
            "delay": self.delay,
            "tenant": self.tenant,
            "private": self.private,
        }


class Revision(NamedTuple):
    """A workflow as it is stored: exact source and resolved spec, named by its hash (hex)."""

    name: str
    hash: str
    source: str
    plan: str


class IntentReply(NamedTuple):
    """``created`` is false when the key was known; ``known``: some worker has offered the name."""

    intent_id: UUID
    created: bool
    state: str
    queue: str
    known: bool


class RunReply(NamedTuple):
    """``created`` is false when the key was known; ``unknown``: handler names nobody has offered."""

    run_id: UUID
    created: bool
    state: str
    unknown: list[str]


class Registered(NamedTuple):
    """The revision that a workflow's name stands for."""

    revision_id: UUID
    hash: str
    plan: dict[str, Any]


class Prepared(NamedTuple):
    """Options resolved once for many intents; intent i gets ``first_seq`` + i."""

    shards: int
    queue: str
    priority: int
    max_attempts: int
    options: dict[str, Any] | None
    state: str
    reason: str | None
    first_seq: int
    now: datetime
    wanted: bool
    run_at: datetime | None


def intent(name: str, payload: str, terms: Terms) -> Operation[IntentReply]:
    """Record one intent.

    Args:
        name: ``<domain>.<action>.vN``.
        payload: JSON text.
        terms: options, key, time.

    Raises:
        InvalidInput: a name, an option or the payload was refused.
        KeyConflict: the key is known under another name.
    """
    rows = yield Query(query("submit_row"), {**terms.parameters(), "name": name, "payload": payload})
    return IntentReply(*rows[0])


def run_of_spec(revision: Revision, inputs: str, payloads: str | None, terms: Terms) -> Operation[RunReply]:
    """Keep a revision and record a run of it, both or nothing.

    Args:
        revision: the workflow.
        inputs: JSON text of an object.
        payloads: JSON text of an object step id -> payload that stands in for the plan's ``with``.
        terms: options, key, time, labels.

    Raises:
        InvalidInput: a name, an option or the inputs were refused.
        KeyConflict: the key is known under another name.
    """
    rows = yield Query(
        query("submit_spec"),
        {**_run_parameters(revision.name, inputs, payloads, terms), **revision._asdict()},
    )
    return RunReply(*rows[0])


def run_of_revision(
    name: str, revision_id: UUID, inputs: str, payloads: str | None, terms: Terms
) -> Operation[RunReply]:
    """Record a run of a stored revision; otherwise as `run_of_spec`."""
    rows = yield Query(
        query("submit_run"), {**_run_parameters(name, inputs, payloads, terms), "revision": revision_id}
    )
    return RunReply(*rows[0])


def _run_parameters(name: str, inputs: str, payloads: str | None, terms: Terms) -> dict[str, Any]:
    return {
        **terms.parameters(),
        "name": name,
        "inputs": inputs,
        "payloads": payloads,
        "labels": json.dumps(terms.labels),
        "runner": terms.runner,
    }


def register(revision: Revision, description: str | None) -> Operation[str]:
    """Keep a revision and give the name to it; return ``created``, ``unchanged`` or ``revised``."""
    rows = yield Query(query("register_workflow"), {**revision._asdict(), "description": description})
    return str(rows[0][0])


def registered(name: str) -> Operation[Registered | None]:
    """Read the revision that a workflow's name stands for; None when nothing is registered under it."""
    rows = yield Query(query("registered_workflow"), {"name": name})
    return Registered(*rows[0]) if rows else None


def known_names() -> Operation[dict[str, str]]:
    """Read every handler name that was offered (``handler``) and every registered name (``workflow``)."""
    rows = yield Query(query("known_names"))
    return {row[0]: row[1] for row in rows}


def prepare(name: str, terms: Terms) -> Operation[Prepared]:
    """Resolve the options of many intents of one name."""
    parameters = terms.parameters()
    rows = yield Query(query("prepare_many"), {**parameters, "name": name})
    return Prepared(*rows[0])


def wake(queue: str) -> Operation[None]:
    """Tell waiting supervisors, at commit, that a queue has work."""
    yield Query(query("wake"), {"queue": queue})


COPY_STEPS: Final = (
    "COPY tributary.steps (run_id, seq, created_at, run_at, ordinal, kind, state, shard, priority,"
    " max_attempts, tenant_id, name, queue, reason) FROM STDIN"
)
COPY_PAYLOADS: Final = "COPY tributary.payloads (run_id, ordinal, shard, payload, options) FROM STDIN"


def slots(count: int, shards: int) -> Iterator[tuple[UUID, int]]:
    """Yield ``count`` new ids with the shard that each leads to."""
    for _ in range(count):
        new = ids.new_id()
        yield new, ids.slot_of(new) % shards


def step_rows(
    name: str, tenant: str, prepared: Prepared, places: Sequence[tuple[UUID, int]]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `COPY_STEPS`, one for each (id, shard) of ``places``."""
    for index, (new, shard) in enumerate(places):
        yield (
            new,
            prepared.first_seq + index,
            prepared.now,
            prepared.run_at,
            0,
            "intent",
            prepared.state,
            shard,
            prepared.priority,
            prepared.max_attempts,
            tenant,
            name,
            prepared.queue,
            prepared.reason,
        )


def payload_rows(
    prepared: Prepared, places: Sequence[tuple[UUID, int]], payloads: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `COPY_PAYLOADS`; ``payloads`` are JSON texts, in the order of ``places``."""
    options = None if prepared.options is None else json.dumps(prepared.options)
    for (new, shard), payload in zip(places, payloads, strict=True):
        yield new, 0, shard, payload, options


def revision_of(digest: str) -> UUID:
    """Return the id of the revision with that hash (hex): its first 128 bits."""
    return UUID(digest[:32])
