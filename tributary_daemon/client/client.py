"""`Client`: submit, read, wait and steer from Python; the CLI is made of the same calls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from tributary_daemon.client import calls, hooking, many, registered, repeating, submitting, waiting
from tributary_daemon.client.borrowed import borrowed
from tributary_daemon.client.function_face import FunctionFace
from tributary_daemon.client.hooking import SubmitHooks
from tributary_daemon.client.local import Local
from tributary_daemon.client.reader import Reader
from tributary_daemon.client.scheduling_face import SchedulingFace
from tributary_daemon.client.tracing import traced
from tributary_daemon.client.workflow import Workflow, read_as
from tributary_daemon.errors import NotPossible, WaitTimeout
from tributary_daemon.store import db
from tributary_daemon.store.sight import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path

    from tributary_daemon.client.borrowed import Caller
    from tributary_daemon.client.calls import SubmitOptions
    from tributary_daemon.client.documents import Document
    from tributary_daemon.client.link import Wiring
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.submitting import Registration, Submitted
    from tributary_daemon.client.targets import Target
    from tributary_daemon.client.waiting import Seen
    from tributary_daemon.client.workflow import Given
    from tributary_daemon.handlers.hooks import Hook
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.submit import Terms

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that work is recorded.

    Attributes:
        kind: ``run`` or ``intent``.
        state: when it was recorded.
        created: false when the idempotency key was known; ``id`` is then the existing one.
        warnings: sentences for the person who submitted it.
    """

    id: str
    kind: str
    name: str
    state: str
    created: bool
    warnings: tuple[str, ...]
    _client: Client = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as ``submit`` prints it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "created": self.created,
        }

    def wait(self, timeout: float | str | timedelta | None = None) -> Document:
        """Wait for the end; see `Client.wait`."""
        return self._client.wait(self.id, timeout)

    def refresh(self) -> Document:
        """Read the work as it is now."""
        return self._client.get(self.id)


class Client(Reader, SchedulingFace, FunctionFace):
    """A client that also submits.

    A submit with an idempotency key is repeated once when the connection breaks meanwhile.

    Args:
        wiring: how it comes to its database; `tributary_daemon.app` provides it.
        settings: what it adds to all it submits.
        private: opens a client whose work is served by processes of this program only; for `run`.
        hooks: called before and after each submit; None for none.
    """

    def __init__(
        self,
        wiring: Wiring,
        settings: Settings,
        private: Callable[[], AbstractContextManager[Client]] | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        super().__init__(wiring, settings)
        self._private = private
        self._hooks = SubmitHooks(hooks, wiring.url) if hooks else None

    def submit(
        self,
        target: Target,
        payload: Any = None,
        *,
        connection: Caller | None = None,
        strict: bool = False,
        **options: Unpack[SubmitOptions],
    ) -> Receipt:
        """Record a run or an intent; everything is checked before anything is stored.

        Args:
            target: path of a workflow file (``.yaml``, ``.yml``, an existing file), name of a registered
                workflow, else name of an intent; a handler function or method; a model that one handler
                takes; a `Workflow`.
            payload: of the intent, or inputs of the workflow: JSON value, model or dataclass.
            connection: record it on this connection (psycopg's, or a session or connection of SQLAlchemy), in
                the caller's own transaction; nothing is committed.
            strict: refuse what is otherwise a warning: handlers that nobody has, names without a version.
            options: see `SubmitOptions`.

        Raises:
            InvalidInput: the file, inputs, payload or an option is refused.
            KeyConflict: the idempotency key is known under another name.
            DatabaseError: see `DatabaseError`.
        """
        with traced(self._call(target, payload, options, strict=strict)) as call:
            if self._hooks is not None:
                taking = replace(call, settings=self._hooks.takes(call.settings))
                return self._receipt(self._hooked(self._hooks, taking, connection))
            if connection is None:
                return self._receipt(self._link.run(call.record, again=call.repeatable))
            with borrowed(connection) as lent:
                return self._receipt(db.run(lent, within(None, call.record(), self._settings.keys)))

    def dry_run(
        self, target: Target, payload: Any = None, *, strict: bool = False, **options: Unpack[SubmitOptions]
    ) -> dict[str, Any]:
        """Check a submit completely and return what it would store; arguments as for `submit`."""
        call = self._call(target, payload, options, strict=strict)
        return self._link.run(call.dry_run, again=True)

    def submit_many(
        self,
        name: str,
        payloads: Iterable[Any],
        *,
        connection: Caller | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[str]:
        """Record many intents of one name by COPY, all or none; return their ids in order.

        Args:
            name: of the intents.
            payloads: JSON values, models or dataclasses.
            connection: write on this connection, in the caller's own transaction.
            options: as for `submit`, without idempotency key and labels.

        Raises:
            InvalidInput: a payload or an option is refused; nothing was stored.
        """
        terms = many.terms(self._settings, options)
        taking = self._settings if self._hooks is None else self._hooks.takes(self._settings)
        texts = many.encode(name, payloads, taking)
        if not texts:
            return []
        if self._hooks is None:
            return self._write_many(name, texts, terms, connection)
        works = self._hooks.before(hooking.many_of(name, texts, terms, borrowed=connection is not None))
        texts = hooking.texts_of(works, self._settings)
        ids = self._write_many(name, texts, terms, connection)
        self._hooks.after(works, hooking.receipts_of(ids, name, terms))
        return ids

    def _write_many(self, name: str, texts: list[str], terms: Terms, connection: Caller | None) -> list[str]:
        if connection is None:
            with self._link.transaction() as own:
                return many.write(own, name, texts, terms, self._settings.keys)
        with borrowed(connection) as lent, lent.transaction():
            return many.write(lent, name, texts, terms, self._settings.keys)

    def register(self, target: str | Path | WorkflowSpec | Workflow, *, strict: bool = False) -> Registration:
        """Give a workflow's name to this revision of it.

        Raises:
            InvalidWorkflow: it is refused.
            InvalidInput: ``strict``, and the name has other content, or a handler is unknown.
        """
        spec = calls.spec_of(target, strict=strict, signatures=self._signatures())
        return self._link.run(lambda: submitting.register(spec, strict=strict), again=True)

    def workflow(self, name: str) -> WorkflowSpec | None:
        """Return the workflow registered under a name; None when there is none."""
        return self._link.run(lambda: repeating.workflow(name), again=True)

    def rerun(self, id: str, *, latest: bool = False) -> Receipt:  # noqa: A002
        """Submit the same work once more: same revision, inputs, labels and options, no idempotency key.

        Args:
            id: of the run or intent.
            latest: take the revision that is registered now under the run's name.

        Raises:
            NotFound: there is no such work, or nothing is registered under its name.
        """
        return self._receipt(
            self._link.run(lambda: repeating.rerun(id, self._settings, latest=latest), again=False)
        )

    def wait_all(
        self,
        works: Iterable[Receipt | str],
        timeout: float | str | timedelta | None = None,
    ) -> list[Document]:
        """Wait for the ends of all of these; return their documents, in the same order.

        Args:
            works: receipts or ids.
            timeout: of the whole: seconds, timedelta or ``"5m"``; None to wait for ever.

        Raises:
            NotFound: there is no such work.
            WaitTimeout: one of them has not ended in time; all go on.
        """
        ids = [work if isinstance(work, str) else work.id for work in works]
        limit = waiting.Limit(timeout, time.monotonic)
        documents = []
        for number, work_id in enumerate(ids, 1):
            try:
                documents.append(self.wait(work_id, limit.left()))
            except WaitTimeout:
                raise limit.over(work_id, number, len(ids)) from None
        return documents

    @overload
    def run(
        self,
        target: type[T],
        payload: Any = None,
        *,
        given: Given,
        timeout: float | str | timedelta | None = None,
    ) -> T: ...
    @overload
    def run(
        self, target: Target, payload: Any = None, *, timeout: float | str | timedelta | None = None
    ) -> Any: ...
    def run(
        self,
        target: Any,
        payload: Any = None,
        *,
        given: Given | None = None,
        timeout: float | str | timedelta | None = None,
    ) -> Any:
        """Run work inline, by handlers of this process alone, and return its result.

        Args:
            target: as of `submit`; with ``given`` a type, which is what is returned.
            payload: as of `submit`.
            given: what a graph to that type is inferred from; see `Workflow.infer`.
            timeout: of the whole.

        Raises:
            WorkFailed: it failed, was discarded or cancelled.
            WaitTimeout: it has not ended in time; it is cancelled.
            InvalidInput: as `submit` with ``strict``.
        """
        if self._private is None:
            raise NotPossible("this client cannot run work inline", hint="use the Client of tributary_daemon")
        work = target if given is None else Workflow.infer(target, given)
        with self._private() as own:
            receipt = own.submit(work, payload, strict=True)
            try:
                result = waiting.result_of(receipt.wait(timeout))
            except BaseException:
                own.give_up(receipt.id)
                raise
        return result if given is None else read_as(target, result)

    def get(self, id: str, *, connection: Caller | None = None) -> Document:  # noqa: A002
        """Read a run with its steps, or an intent with its attempts; see `Reader.get`."""
        return self._loaded(super().get(id, connection=connection))

    def wait(
        self,
        id: str,  # noqa: A002 - the word of the documents
        timeout: float | str | timedelta | None = None,
        *,
        poll: float | None = None,
        seen: Seen | None = None,
    ) -> Document:
        """Wait for the end of a run or an intent and return it; see `Reader.wait`."""
        return self._loaded(super().wait(id, timeout, poll=poll, seen=seen))

    def _loaded(self, document: Document) -> Document:
        return document if self._hooks is None or not self._hooks.keep else self._hooks.loaded(document)

    def close(self) -> None:
        """Close the connections; the next call opens another one."""
        super().close()
        if self._hooks is not None:
            self._hooks.close()

    def _hooked(self, hooks: SubmitHooks, call: calls.Call, connection: Caller | None) -> Submitted:
        if connection is None:
            checked = self._link.run(call.check, again=True)
            works = hooks.before(hooking.works_of(checked, borrowed=False))
            stored = hooking.with_payloads(checked, works, self._settings)
            done = self._link.run(lambda: submitting.store(stored, self._settings), again=call.repeatable)
        else:
            with borrowed(connection) as lent:
                checked = db.run(lent, within(None, call.check(), self._settings.keys))
                works = hooks.before(hooking.works_of(checked, borrowed=True))
                stored = hooking.with_payloads(checked, works, self._settings)
                done = db.run(
                    lent, within(None, submitting.store(stored, self._settings), self._settings.keys)
                )
        hooks.after(works, [done] * len(works))
        return done

    def _call(self, target: Target, payload: Any, options: SubmitOptions, *, strict: bool) -> calls.Call:
        known = self._signatures()
        return calls.call(self._settings, target, payload, options, strict=strict, signatures=known)

    def _signatures(self) -> Local:
        return Local(registered=lambda: self._link.run(registered.handlers, again=True))

    def _receipt(self, done: Submitted) -> Receipt:
        return Receipt(done.id, done.kind, done.name, done.state, done.created, done.warnings, self)
