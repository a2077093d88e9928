"""`WorkflowContext`: what a workflow function does with the world, all of it recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack, overload
from uuid import UUID

from tributary_daemon import codec
from tributary_daemon.errors import HandlerError, InvalidInput
from tributary_daemon.handlers.calls import called, fitting, handler_of, options_of, reader, returned, typed
from tributary_daemon.handlers.pending import Pending, first_of, gathered
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from random import Random

    from tributary_daemon.handlers.calls import StepOptions, Target

R = TypeVar("R")
M = TypeVar("M")


class Journal(Protocol):
    """What stands behind a context: the replay of its history."""

    run_id: str
    name: str
    random: Random

    @property
    def now(self) -> datetime: ...
    @property
    def replaying(self) -> bool: ...
    @property
    def log(self) -> Any: ...
    def ask(
        self, kind: str, name: str, *, step_id: str | None, convert: Callable[[Any], Any] | None,
        payload: Callable[[], Any] | None = None, options: Mapping[str, Any] | None = None,
        terms: Mapping[str, Any] | None = None,
    ) -> Pending[Any]: ...  # fmt: skip
    def branch(self, coroutine: Coroutine[Any, Any, Any]) -> Pending[Any]: ...
    def patched(self, patch: str) -> bool: ...
    def undo(self, name: str, payload: Callable[[], Any]) -> None: ...
    def set_status(self, status: str) -> None: ...
    def answer(self, query: str, function: Callable[..., Any]) -> None: ...
    def begin_anew(self, inputs: Any) -> BaseException: ...


class WorkflowContext:
    """Given to a workflow function, which reaches everything outside of itself by it.

    What it asks for is recorded; when it goes on later, perhaps in another process, its function runs from
    its beginning and gets from the record what had been asked for already.
    """

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._journal.run_id

    @property
    def name(self) -> str:
        """The name of the workflow."""
        return self._journal.name

    @property
    def replaying(self) -> bool:
        """Whether what happens now has happened before."""
        return self._journal.replaying

    @property
    def log(self) -> Any:
        """A structlog logger that is silent in a replay; every line carries the id of the run."""
        return self._journal.log

    @property
    def random(self) -> Random:
        """A source of randomness that gives the same in every replay."""
        return self._journal.random

    def now(self) -> datetime:
        """Return the time (UTC) at which what was awaited last had ended: equal in every replay."""
        return self._journal.now

    def uuid7(self) -> UUID:
        """Return a UUID version 7 of `now`, equal in every replay."""
        milliseconds = int(self.now().timestamp() * 1000)
        bits = self.random.getrandbits(74)
        high = milliseconds << 16 | 7 << 12 | bits >> 62
        return UUID(int=high << 64 | 2 << 62 | bits & (1 << 62) - 1)

    @overload
    def run(
        self, target: Callable[..., Awaitable[R]], payload: Any = None, /, *, id: str | None = None,
        in_place: bool = False, **options: Unpack[StepOptions],
    ) -> Pending[R]: ...  # fmt: skip
    @overload
    def run(
        self, target: Callable[..., R], payload: Any = None, /, *, id: str | None = None,
        in_place: bool = False, **options: Unpack[StepOptions],
    ) -> Pending[R]: ...  # fmt: skip
    @overload
    def run(
        self, target: str, payload: Any = None, /, *, id: str | None = None,
        in_place: bool = False, **options: Unpack[StepOptions],
    ) -> Pending[Any]: ...  # fmt: skip
    def run(
        self, target: Target, payload: Any = None, /, *, id: str | None = None,  # noqa: A002 - as in files
        in_place: bool = False, **options: Unpack[StepOptions],
    ) -> Pending[Any]:  # fmt: skip
        """Run a handler as a step of this run, by any worker; its result is of the handler's type.

        Args:
            target: a handler function, or its name.
            payload: its input, as `Client.submit` takes it.
            id: of the step in the run; made of the handler's name if omitted.
            in_place: run it here and now: for what is cheap. Its result is recorded when the function waits
                or ends the next time; should the process die before, it runs again. It is tried once.
            options: nearer than the handler's own: see `StepOptions`.

        Raises:
            StepFailed: when awaited: it has failed for good.
            InvalidInput: the payload does not fit the handler.
        """
        handler, name = called(target)
        given = options_of(options) if options else {}
        convert = None if handler is None else reader(handler)
        if not in_place:
            return self._journal.ask(
                "run", name, step_id=id, convert=convert, options=given,
                payload=lambda: codec.loads(fitting(handler, payload)),
            )  # fmt: skip
        if handler is None:
            raise HandlerError(
                f"{name} is not at hand in this process, so that it cannot run in place",
                hint="pass its function, or leave in_place out",
            )
        if given or handler.signature.step_name is not None or handler.isolation is not None:
            raise HandlerError(
                f"{name} cannot run in place: that is for handlers that take no step, and without options",
                hint="leave in_place out",
            )
        return self._journal.ask(
            "in_place", name, step_id=id, convert=convert, payload=lambda: fitting(handler, payload)
        )

    def transaction(
        self, function: Callable[..., Awaitable[R]], /, *args: Any,
        id: str | None = None,  # noqa: A002 - as in files
    ) -> Pending[R]:  # fmt: skip
        """Call ``function(connection, *args)`` in a transaction that records its result: exactly once.

        ``connection`` is psycopg's ``AsyncConnection``; what is written through it, and the record that it
        was done, are committed together, or nothing is. A replay does not call it again.

        Args:
            function: async; returns a JSON value, of the type that its annotation says.
            args: passed on.
            id: for people; the function's name if omitted.
        """
        name = getattr(function, "__qualname__", repr(function)).rpartition(".")[2]
        return self._journal.ask(
            "transaction",
            name,
            step_id=id,
            convert=typed(returned(function)),
            payload=lambda: (function, args),
        )

    def sleep(self, duration: float | str | timedelta) -> Pending[None]:
        """Wait for so long (seconds, timedelta, or ``"3d"``), from `now` on; no process waits meanwhile."""
        until = self.now() + timedelta(seconds=durations.seconds(duration))
        return self.sleep_until(until)

    def sleep_until(self, moment: datetime) -> Pending[None]:
        """Wait for a time; it must have its zone."""
        if moment.tzinfo is None:
            raise InvalidInput(
                f"{moment.isoformat()} has no time zone", hint="use ctx.now(), or datetime(…, tzinfo=UTC)"
            )
        return self._journal.ask(
            "sleep", "sleep", step_id=None, convert=None, terms={"kind": "timer", "at": moment.isoformat()}
        )

    @overload
    def wait_signal(
        self, name: str, /, *, timeout: float | str | timedelta | None = None, id: str | None = None
    ) -> Pending[Any]: ...
    @overload
    def wait_signal(
        self,
        name: str,
        model: type[M],
        /,
        *,
        timeout: float | str | timedelta | None = None,
        id: str | None = None,
    ) -> Pending[M]: ...
    def wait_signal(
        self, name: str, model: type[M] | None = None, /, *, timeout: float | str | timedelta | None = None,
        id: str | None = None,  # noqa: A002 - as in files
    ) -> Pending[Any]:  # fmt: skip
        """Wait for a signal to this run; its payload is the result. One that came before is taken first.

        Args:
            name: of the signal; each is taken once, in the order in which they came.
            model: type of the payload; as JSON if omitted.
            timeout: how long, from `now` on; for ever if omitted.
            id: of the step that waits; the signal's name if omitted.

        Raises:
            WaitOver: when awaited: none came in time.
            InvalidInput: when awaited: the payload does not fit ``model``.
        """
        if not name:
            raise InvalidInput("a signal needs a name")
        terms = {"kind": "signal", "signal": name, **self._due(timeout)}
        return self._journal.ask("signal", name, step_id=id, convert=typed(model), terms=terms)

    def wait_approval(
        self, name: str, /, *, prompt: str | None = None, form: Mapping[str, Mapping[str, Any]] | None = None,
        timeout: float | str | timedelta | None = None,
    ) -> Pending[Any]:  # fmt: skip
        """Wait for an answer: ``trib approve RUN NAME``; the result is ``{approved, by, at, answer}``.

        Args:
            name: of the step that waits.
            prompt: what is asked.
            form: what the answer has to hold, declared like inputs: ``{"note": {"type": "string"}}``.
            timeout: how long, from `now` on; for ever if omitted.

        Raises:
            StepFailed: when awaited: it was rejected (reason ``rejected``).
            WaitOver: when awaited: nobody answered in time.
        """
        terms: dict[str, Any] = {"kind": "approval", **self._due(timeout)}
        if prompt is not None:
            terms["prompt"] = prompt
        if form is not None:
            terms["form"] = {field: dict(declared) for field, declared in form.items()}
        return self._journal.ask("approval", name, step_id=name, convert=None, terms=terms)

    def child(self, target: Target, inputs: Any = None, /, *, id: str | None = None) -> Pending[Any]:  # noqa: A002
        """Run another workflow as a child of this run: a workflow function, or a registered name.

        Args:
            target: the function, or the name.
            inputs: of the child.
            id: of the step that stands for it; made of its name if omitted.

        Raises:
            StepFailed: when awaited: it did not complete.
        """
        handler = handler_of(target)
        name = handler.name if handler is not None else str(target)

        def payload() -> dict[str, Any]:
            text = codec.dumps({} if inputs is None else inputs, what="inputs")
            return {"workflow": {"name": name}, "with": codec.loads(text)}

        return self._journal.ask(
            "child", name, step_id=id, convert=None if handler is None else reader(handler), payload=payload
        )

    def gather(self, *parts: Awaitable[Any], return_exceptions: bool = False) -> Pending[list[Any]]:
        """Await all of these side by side; the result is the list of theirs.

        Args:
            parts: what `run`, `sleep` and others return, and calls of your own async functions.
            return_exceptions: put what failed into the list; else the first that fails is raised, and the
                others go on.
        """
        return gathered([self._part(part) for part in parts], return_exceptions=return_exceptions)

    def first(self, *parts: Awaitable[Any]) -> Pending[int]:
        """Await the first of these to end, well or not; the result is its index. The others go on."""
        if not parts:
            raise InvalidInput("first() of nothing never ends")
        return first_of([self._part(part) for part in parts])

    def start(self, coroutine: Coroutine[Any, Any, R], /) -> Pending[R]:
        """Run an async function of your own beside what follows."""
        return self._journal.branch(coroutine)

    def on_failure(self, target: Target, payload: Any = None, /) -> None:
        """Register what undoes what was done: should this run fail or be cancelled, it runs, the last first.

        Args:
            target: a handler, or its name.
            payload: its input.
        """
        handler, name = called(target)
        self._journal.undo(name, lambda: codec.loads(fitting(handler, payload)))

    def patched(self, patch: str, /) -> bool:
        """Return whether this run does the new: False where its history went by without the patch.

        Args:
            patch: a name of the change, kept in the history.
        """
        return self._journal.patched(patch)

    def set_status(self, status: Any, /) -> None:
        """Say how it goes: any JSON value, shown by ``trib status`` from the next wait on."""
        self._journal.set_status(codec.dumps(status, what="status"))

    def on_query(self, name: str, function: Callable[..., Any], /) -> None:
        """Answer ``trib query RUN name`` by calling ``function(**arguments)``, which must change nothing."""
        self._journal.answer(name, function)

    def continue_as_new(self, inputs: Any = None, /) -> BaseException:
        """Return what is to be raised to begin anew with other inputs and an empty history, as the same run.

        ``raise ctx.continue_as_new(State(…))``: for what goes on for ever, before its history grows long.
        """
        return self._journal.begin_anew(
            codec.loads(codec.dumps({} if inputs is None else inputs, what="inputs"))
        )

    def _part(self, part: Awaitable[Any]) -> Pending[Any]:
        if isinstance(part, Pending):
            return part
        if isinstance(part, Coroutine):
            return self._journal.branch(part)
        raise InvalidInput(
            f"{part!r} is nothing that a workflow function can wait for",
            hint="pass what ctx.run(…) and others return, or a call of an async function",
        )

    def _due(self, timeout: float | str | timedelta | None) -> dict[str, Any]:
        if timeout is None:
            return {}
        return {"at": (self.now() + timedelta(seconds=durations.seconds(timeout))).isoformat()}
