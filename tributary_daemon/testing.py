"""Tests of workflows: run inline, without a daemon, on a database of their own, by a clock of theirs.

    with Bench() as bench:
        document = bench.run("workflows/signup.yaml", {"email": "ada@example.com"})
        assert document.result == {"user_id": 7}

Handlers run one after the other in the calling thread, each attempt as a worker would run it. When nothing is
due, the clock jumps to the next retry, snooze or ``run_after``: hours of back-off take no time. Timeouts are
not enforced, as the clock stands still while a handler runs.
"""

from __future__ import annotations

import dataclasses
import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from psycopg import conninfo

from tributary_daemon import config as configuration
from tributary_daemon.app import Client
from tributary_daemon.client import calls, scheduling, submitting
from tributary_daemon.client.local import Local
from tributary_daemon.client.options import Settings
from tributary_daemon.daemon import held as holding
from tributary_daemon.daemon.alone import Alone
from tributary_daemon.daemon.facts import load_facts
from tributary_daemon.daemon.inbox import Inbox, Progress
from tributary_daemon.daemon.offers import Offer, offered
from tributary_daemon.daemon.outcomes import ended
from tributary_daemon.daemon.runtime import ProcessRuntime
from tributary_daemon.daemon.scheduler import Scheduler
from tributary_daemon.daemon.slots import ConnectionSlots
from tributary_daemon.errors import NotFound, NotPossible
from tributary_daemon.handlers import overrides
from tributary_daemon.handlers.declare import name_of
from tributary_daemon.handlers.hooks import Host
from tributary_daemon.handlers.overrides import override
from tributary_daemon.hooks.loading import make, opened
from tributary_daemon.model import durations
from tributary_daemon.model.control import CONTROL_NAMES
from tributary_daemon.store import db, functions, membership
from tributary_daemon.store.contexts import Contexts
from tributary_daemon.store.lanes import ClaimRequest
from tributary_daemon.store.leases import Leases, save_progress
from tributary_daemon.store.migrations import Migrator
from tributary_daemon.store.scratch import ScratchDatabase
from tributary_daemon.store.sight import within
from tributary_daemon.wiring import database_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from tributary_daemon.client.calls import SubmitOptions
    from tributary_daemon.client.client import Receipt
    from tributary_daemon.client.documents import Document
    from tributary_daemon.client.schedule_records import ScheduleDocument
    from tributary_daemon.client.scheduling import ScheduleOptions
    from tributary_daemon.client.submitting import Registration
    from tributary_daemon.client.targets import Target
    from tributary_daemon.client.workflow import Workflow
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.handlers.hooks import Hook
    from tributary_daemon.handlers.registry import Handler, Registry
    from tributary_daemon.spec.workflow import WorkflowSpec

__all__ = ["START", "Bench", "override", "run_workflow"]

START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_BUILT_IN: Final = "trib."
_ITEM: Final = "select item_key from tributary.steps where run_id = %s and ordinal = %s"
_MOST_ATTEMPTS: Final = 10_000
_QUEUES: Final = "select distinct queue from tributary.steps where state in ('available', 'scheduled')"
_NEXT: Final = """
    select least(
        (select min(run_at) from tributary.steps where state = 'scheduled'),
        (select min(due_at) from tributary.waits))
"""
_WAITS: Final = "select tributary.fire_waits(0::smallint, 500)"
_NEXT_SLOT: Final = "select min(next_at) from tributary.schedules where state = 'active'"


def run_workflow(
    target: Target,
    inputs: Any = None,
    *,
    handlers: Iterable[Callable[..., Any] | str] | None = None,
    start: datetime | None = None,
    url: str | None = None,
    resources: Mapping[Callable[..., Any], Any] | None = None,
    hooks: Sequence[Hook] = (),
) -> Document:
    """Run a workflow or an intent to its end on a fresh database and return its document.

    Args:
        target: as for `Client.submit`.
        inputs: of the workflow, or payload of the intent.
        handlers: see `Bench`.
        start: what the clock shows at first.
        url: see `Bench`.
        resources: see `Bench`.
        hooks: see `Bench`.

    Raises:
        NotPossible: it waits for something that no passing of time brings.
    """
    with Bench(handlers=handlers, start=start, url=url, resources=resources, hooks=hooks) as bench:
        return bench.run(target, inputs)


class Bench:
    """A database of its own, a clock, and hands that run what is due. A context manager.

    Args:
        handlers: the only handlers (functions or names) beside the built-in ones; by default all of this
            process and of the entry points.
        start: what the clock shows at first; 2030-01-01 in UTC by default.
        registry: the handlers there are, instead of all that; not even built-in ones are added.
        url: server on which the database is made and dropped; by default the configured or embedded one.
            Its user must be allowed to create databases.
        resources: resource -> what handlers get instead: a function (``def`` or ``lambda``) is called in its
            place, anything else is the value itself. The others are opened, and closed with the bench.
        hooks: around submits and handlers, the outermost first; ``trib.toml`` is not asked.

    Attributes:
        client: reads and steers; submit through the bench, so that the clock counts.
    """

    client: Client

    def __init__(
        self,
        *,
        handlers: Iterable[Callable[..., Any] | str] | None = None,
        start: datetime | None = None,
        registry: Registry | None = None,
        url: str | None = None,
        resources: Mapping[Callable[..., Any], Any] | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self._server = url
        self._hooks = make(hooks)
        self._replaced = overrides.replacements(resources or {})
        self._given = registry
        self._held: Held | None = None
        self._wanted = None if handlers is None else [_name(item) for item in handlers]
        self._now = start or START
        if self._now.utcoffset() is None:
            raise NotPossible("the start has no time zone", hint="datetime(2030, 1, 1, tzinfo=UTC)")

    def __enter__(self) -> Self:
        server = self._server or database_url(configuration.load({}), say=_silent)
        self._database = ScratchDatabase(server, "testing")
        self._database.make()
        try:
            self._open(self._database.url)
        except BaseException:
            self._database.drop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._alone.close()
        self.client.close()
        self._connection.close()
        self._database.drop()

    @property
    def now(self) -> datetime:
        """What the clock shows."""
        return self._now

    def advance(self, by: float | str | timedelta) -> None:
        """Move the clock; nothing runs by that alone, but schedules fire their slots on the way.

        Args:
            by: seconds, a timedelta, or ``"5m"``.
        """
        self._move(self._now + timedelta(seconds=durations.seconds(by)))

    def submit(self, target: Target, payload: Any = None, **options: Unpack[SubmitOptions]) -> Receipt:
        """Record work at the time the clock shows; otherwise as `Client.submit`."""
        return self.client.submit(target, payload, connection=self._connection, **options)

    def register(self, target: str | Path | WorkflowSpec | Workflow) -> Registration:
        """Register a workflow, whose schedules count from the time the clock shows; as `Client.register`."""
        return db.run(
            self._connection,
            submitting.register(
                calls.spec_of(target, strict=False, signatures=Local(registry=self._registry)), strict=False
            ),
        )

    def schedule(
        self,
        name: str,
        cron: str,
        target: str | Callable[..., Any],
        payload: Any = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleDocument:
        """Add a schedule that counts from the time the clock shows; otherwise as `Client.schedule`."""
        added = scheduling.schedule(Settings(), name, cron, target, payload=payload, given=options)
        return db.run(self._connection, within(None, added))

    def signal(self, id: str, name: str, payload: Any = None, *, key: str | None = None) -> int:  # noqa: A002
        """Send a signal at the time the clock shows; otherwise as `Client.signal`."""
        return self.client.signal(id, name, payload, key=key, connection=self._connection)

    def approve(self, id: str, step: str, answer: Mapping[str, Any] | None = None) -> str:  # noqa: A002
        """Approve what a step asks for at the time the clock shows; otherwise as `Client.approve`."""
        return self.client.approve(id, step, answer, connection=self._connection)

    def reject(self, id: str, step: str, reason: str | None = None) -> str:  # noqa: A002
        """Reject what a step asks for at the time the clock shows; otherwise as `Client.reject`."""
        return self.client.reject(id, step, reason, connection=self._connection)

    def run(self, target: Target, payload: Any = None, **options: Unpack[SubmitOptions]) -> Document:
        """Record work, run it to its end and return its document; see `finish`."""
        return self.finish(self.submit(target, payload, **options).id)

    def work(self) -> int:
        """Run all that is due without moving the clock; return how many attempts that were.

        Raises:
            NotPossible: it does not come to an end: a handler snoozes or fails without delay for ever.
        """
        done = 0
        self._fire()
        while (held := self._claim()) is not None:
            self._attempt(held)
            done += 1
            if done >= _MOST_ATTEMPTS:
                raise NotPossible(
                    f"work goes on after {done:,} attempts", hint="a handler repeats itself for ever"
                )
        return done

    def finish(self, id: str) -> Document:  # noqa: A002 - the word of the documents
        """Run all that is due, moving the clock whenever nothing is, until this work has ended.

        Raises:
            NotFound: there is no such work.
            NotPossible: it waits for something that no passing of time brings; the message says for what.
        """
        for _ in range(_MOST_ATTEMPTS):
            self.work()
            document = self.client.get(id)
            if document.ended:
                return document
            due = self._connection.execute(_NEXT).fetchall()[0][0]
            if due is None:
                why = self.client.why(id)
                told = "; ".join(f"{reason.step or why.name}: {reason.message}" for reason in why.reasons)
                raise NotPossible(f"{why.name} waits, and no passing of time helps: {told}")
            self._move(max(self._now, due))
        raise NotPossible(
            f"the clock was moved {_MOST_ATTEMPTS:,} times", hint="a handler puts itself off for ever"
        )

    def item(self) -> str | None:
        """Return the key of the fan-out's item whose handler runs now; None when it is that of no item."""
        if self._held is None or not self._held.in_run:
            return None
        found = self._connection.execute(_ITEM, [self._held.run_id, self._held.ordinal]).fetchall()
        key: str | None = found[0][0]
        return key

    def _open(self, url: str) -> None:
        offer = offered((), enable_shell=True) if self._given is None else Offer(self._given, [])
        self._registry = self._select(offer.registry)
        described = [item for item in offer.describe() if item["name"] in self._registry]
        hooks = opened(self._hooks, Host(self._at, "testing", "worker"), self._registry)
        Migrator(url).up()
        self._url = url
        self._connection = db.connect(url, application_name="trib testing")
        self._worker = membership.register_worker(
            self._connection,
            name="testing",
            host="testing",
            pid=os.getpid(),
            version="testing",
            queues=["default"],
            names=[],
            concurrency=1,
            failures=[],
        )
        self._process = membership.register_process(
            self._connection, name="testing", pid=os.getpid(), worker_id=self._worker
        )
        self._show(self._now)
        membership.register_handlers(self._connection, described)
        functions.register(self._connection, [item for item in described if "function" in item])
        self._contexts = Contexts()
        self._scheduler = Scheduler()
        self._alone = Alone(self._replaced, hooks)
        # whatever the environment says: what a test stores is readable
        plain = dataclasses.replace(
            configuration.load({}), encryption_keys=(), encryption_keys_file=None, encryption_kms=None
        )
        self.client = Client(url, config=plain, hooks=self._hooks)

    def _at(self) -> str:
        # with the time that the clock shows
        return conninfo.make_conninfo(self._url, options=f"-c tributary.fake_now={self._now.isoformat()}")

    def _select(self, registry: Registry) -> Registry:
        if self._wanted is None:
            return registry
        for name in self._wanted:
            registry.get(name)
        chosen = registry.copy()
        for name in registry.names():
            if name not in self._wanted and not name.startswith(_BUILT_IN):
                chosen.remove(name)
        return chosen

    def _move(self, target: datetime) -> None:
        self._fire()
        while (slot := self._connection.execute(_NEXT_SLOT).fetchall()[0][0]) is not None and slot <= target:
            self._show(max(self._now, slot))
            if not self._fire():
                # held by somebody else, or more wait than may
                break
        self._show(target)

    def _fire(self) -> int:
        fired = 0
        while (found := self._scheduler.turn(self._connection)) > 0:
            fired += found
        return fired

    def _show(self, now: datetime) -> None:
        self._now = now
        self._connection.execute("select set_config('tributary.fake_now', %s, false)", (now.isoformat(),))
        # whoever is silent for seconds may not claim, and hours may just have gone by
        membership.beat_worker(
            self._connection, self._worker, [membership.Vitals(self._process)], [],
            wants_wake=False, state="running", wanted=1,
        )  # fmt: skip

    def _claim(self) -> Held | None:
        # what that releases is to be looked for, too
        self._connection.execute(_WAITS)
        queues = [row[0] for row in self._connection.execute(_QUEUES).fetchall()]
        # whoever runs steps closes runs, too
        names = [*self._registry.names(), *CONTROL_NAMES]
        leases = Leases(self._connection, self._process, names, queues)
        _, (lanes, _) = leases.promote_and_survey(0)
        if not lanes:
            return None
        request = ClaimRequest([lane for lane, _ in lanes], [low for _, low in lanes], 1)
        _, replies = leases.exchange(0, [], [request])
        if not replies[0]:
            return None
        row = replies[0][0]
        held = holding.from_row(row, 0, self._handler(row), time.monotonic())
        load_facts(self._contexts, self._connection, [held])
        return held

    def _handler(self, row: db.Row) -> Handler | None:
        return None if row[4] in CONTROL_NAMES else self._registry.get(row[4])

    def _attempt(self, held: Held) -> None:
        inbox = Inbox()
        # the clock stands still meanwhile, so that what the step opens by itself may show the same time
        at = self._at()
        powers = ProcessRuntime(at, self._process, inbox, ConnectionSlots(1))
        held.started_at = held.claimed_at
        self._held = held
        try:
            outcome = self._alone.run(held, powers, at)
        finally:
            self._held = None
            powers.close()
        for news in inbox.take(0):
            if isinstance(news, Progress):
                save_progress(self._connection, 0, held.token, news.details)
        if outcome is not None:
            leases = Leases(self._connection, self._process, (), ())
            leases.exchange(0, [ended(held, outcome)], [])


def _name(handler: Callable[..., Any] | str) -> str:
    if isinstance(handler, str):
        return handler
    name = name_of(handler)
    if name is None:
        raise NotFound(f"{handler!r} is not a handler", hint='decorate it with @handler("domain.action.v1")')
    return name


def _silent(_: str) -> None:
    """Tests need not be told which database the server is."""
