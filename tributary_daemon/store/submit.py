"""Recording work: one statement for each intent or run; many intents are made ready for COPY."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from tributary_daemon.store import submit_sealed
from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.sealed import ring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tributary_daemon.store.db import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What comes with every submit, whatever is submitted.

    Attributes:
        key: idempotency key.
        submit: options given with this submit: ``queue``, ``priority``, ``max_attempts``, ``timeout``
            (seconds), ``retry`` (fields); with ``correlation`` beside them, the ids that the work carries.
        config: the same from the producer's configuration.
        run_at: not before this time.
        delay: not before so many seconds after the database's now; ``run_at`` wins.
        labels: of a run.
        tenant: empty for none.
        private: prefix of the queues, for work that only one process tree serves.
        runner: worker id of that tree.
        special: what few submits have: ``unique`` (``key`` or ``by``, ``period``, ``on_conflict``,
            ``max_wait``), ``expires_at`` or ``expires_in``; as SQL's check_terms has it.
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
    special: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The options of level ``submit``, without the ids beside them."""
        return {name: value for name, value in self.submit.items() if name != "correlation"}

    @property
    def ids(self) -> Mapping[str, str]:
        """The ids that the work carries."""
        ids: Mapping[str, str] = self.submit.get("correlation", {})
        return ids

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
    """``created`` is false when the key was known; ``known``: some worker has offered the name.

    Attributes:
        names: of handlers and workflows, to guess from; None when the name is known.
    """

    intent_id: UUID
    created: bool
    state: str
    queue: str
    known: bool
    names: list[str] | None


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


# columns of submit_named that tell of the intent; those of the workflow follow
_INTENT: Final = len(IntentReply._fields)
# payloads per statement, where each is recorded by itself
_BLOCK: Final = 1_000


class Prepared(NamedTuple):
    """Options resolved once for many intents; intent i gets ``first_seq`` + i.

    ``direct``: this user may write the tables past row-level security, so COPY can be used; ``tenant``: whose
    the intents are.
    """

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
    direct: bool
    tenant: str


def intent(name: str, payload: str, terms: Terms) -> Operation[IntentReply]:
    """Record one intent in one round trip.

    Args:
        name: ``<domain>.<action>.vN``.
        payload: JSON text.
        terms: options, key, time.

    Raises:
        InvalidInput: a name, an option or the payload was refused.
        KeyConflict: the key is known under another name.
    """
    if terms.special or (yield from ring()) is not None:
        return (yield from _special_intent(name, payload, terms))
    rows = yield _intent(name, payload, terms, named=False)
    return IntentReply(*rows[0][:_INTENT])


def intent_unless_workflow(name: str, payload: str, terms: Terms) -> Operation[IntentReply | Registered]:
    """Record one intent as `intent` does, or store nothing and return the workflow that has the name."""
    if terms.special or (yield from ring()) is not None:
        found = yield from registered(name)
        return (yield from _special_intent(name, payload, terms)) if found is None else found
    rows = yield _intent(name, payload, terms, named=True)
    row = rows[0]
    return Registered(*row[_INTENT:]) if row[0] is None else IntentReply(*row[:_INTENT])


def _intent(name: str, payload: str, terms: Terms, *, named: bool) -> Query:
    given = {**terms.parameters(), "name": name, "named": named, "payload": payload}
    return Query(query("submit_named"), given, alone=query("submit_alone"))


def _special_intent(name: str, payload: str, terms: Terms) -> Operation[IntentReply]:
    def send(text: str, special: Mapping[str, Any]) -> Operation[list[Row]]:
        given = {**terms.parameters(), "name": name, "payload": text, "terms": json.dumps(special)}
        return (yield Query(query("submit_row_with"), given))

    keys = yield from ring()
    if keys is None:
        rows = yield from send(payload, terms.special)
    else:
        rows = yield from submit_sealed.intent(name, payload, terms, keys, send)
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
    if (keys := (yield from ring())) is not None:
        plan = json.loads(revision.plan) if payloads else None
        inputs, payloads, special = yield from submit_sealed.run(inputs, payloads, plan, terms, keys)
        terms = replace(terms, special=special)
    given = {**_run_parameters(revision.name, inputs, payloads, terms), **revision._asdict()}
    if terms.special:
        rows = yield Query(query("submit_spec_with"), {**given, "terms": json.dumps(terms.special)})
    else:
        rows = yield Query(query("submit_spec"), given, alone=query("submit_spec_alone"))
    return RunReply(*rows[0])


def run_of_revision(
    name: str,
    revision_id: UUID,
    inputs: str,
    payloads: str | None,
    terms: Terms,
    *,
    plan: Mapping[str, Any] | None = None,
) -> Operation[RunReply]:
    """Record a run of a stored revision; otherwise as `run_of_spec`.

    ``plan`` is the revision's, where there are payloads.
    """
    if (keys := (yield from ring())) is not None:
        inputs, payloads, special = yield from submit_sealed.run(inputs, payloads, plan, terms, keys)
        terms = replace(terms, special=special)
    given = {**_run_parameters(name, inputs, payloads, terms), "revision": revision_id}
    if terms.special:
        rows = yield Query(query("submit_run_with"), {**given, "terms": json.dumps(terms.special)})
    else:
        rows = yield Query(query("submit_run"), given, alone=query("submit_run_alone"))
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


def keep(revision: Revision) -> Operation[None]:
    """Keep a revision that others refer to; one that is kept already stays as it is."""
    yield Query(query("keep_revision"), revision._asdict())


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


def one_by_one(
    name: str, payloads: Sequence[str], terms: Terms, run_at: datetime | None
) -> Operation[list[str]]:
    """Record many intents by a function that has the rights which this user lacks; return their ids."""
    ids: list[str] = []
    if (yield from ring()) is not None:
        # each is sealed for an id of its own
        at = replace(terms, run_at=run_at, delay=None)
        for payload in payloads:
            ids.append(str((yield from _special_intent(name, payload, at)).intent_id))  # noqa: PERF401
        return ids
    for start in range(0, len(payloads), _BLOCK):
        given = {"name": name, "payloads": list(payloads[start : start + _BLOCK]), "at": run_at}
        rows = yield Query(query("submit_intents"), {**terms.parameters(), **given})
        ids += [row[0] for row in rows]
    return ids


def wake(queue: str) -> Operation[None]:
    """Tell waiting supervisors, at commit, that a queue has work."""
    yield Query(query("wake"), {"queue": queue})


def revision_of(digest: str) -> UUID:
    """Return the id of the revision with that hash (hex): its first 128 bits."""
    return UUID(digest[:32])
