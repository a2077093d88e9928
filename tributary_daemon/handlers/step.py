"""`Step`: what a handler sees of the attempt it runs in, and the powers behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pydantic import TypeAdapter, ValidationError

from tributary_daemon import codec
from tributary_daemon.errors import HandlerError, StepCancelled
from tributary_daemon.handlers.step_log import logger

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Mapping
    from types import TracebackType

    from tributary_daemon.handlers.step_log import Lines, Output
    from tributary_daemon.model.correlation import Correlation

T = TypeVar("T")


class Attempt(Protocol):
    """What a `Step` needs to know of its lease."""

    @property
    def run_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def step_id(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def correlation(self) -> Correlation | None: ...


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step may read beyond its payload; loaded when a handler first asks for it.

    Attributes:
        inputs: of the run; empty for an intent.
        results: by step id, of the steps that this one needs.
        progress: what the previous attempts last reported by `Step.heartbeat`; None when nothing.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    progress: Any = None


class StepRuntime(Protocol):
    """The powers of a step, given by the process that runs it. One object may serve all its attempts."""

    def context(self, attempt: Attempt) -> StepContext:
        """Return inputs, results and progress; may block, as it may have to ask the database."""

    def heartbeat(self, attempt: Attempt, details: str) -> None:
        """Store progress (JSON text); never blocks on the database."""

    def own_group(self, attempt: Attempt, group: int) -> None:
        """Note a process group of the operating system that has to end with the attempt."""

    def is_cancelled(self, attempt: Attempt) -> bool:
        """Return whether the step was cancelled or its lease was lost."""

    def lines(self, attempt: Attempt) -> Lines:
        """Return where the attempt's lines go; asked for when it first says something."""

    def connection(self, attempt: Attempt) -> Any:
        """Return the psycopg connection in whose transaction the step will be finished."""

    async def aconnection(self, attempt: Attempt) -> Any:
        """Return the same for an async handler: a psycopg AsyncConnection."""


class Step:
    """One attempt of a step or intent, as its handler sees it."""

    __slots__ = ("_attempt", "_context", "_log", "_runtime")

    def __init__(self, attempt: Attempt, runtime: StepRuntime) -> None:
        self._attempt = attempt
        self._runtime = runtime
        self._context: StepContext | None = None
        self._log: Any = None

    def __repr__(self) -> str:
        return f"Step(id={self.id!r}, name={self.name!r}, run_id={self.run_id!r}, attempt={self.attempt})"

    @property
    def id(self) -> str:
        """The step's id in its workflow; of an intent, its id."""
        return self._attempt.step_id or self._attempt.run_id

    @property
    def run_id(self) -> str:
        """The id of the run; of an intent, its id."""
        return self._attempt.run_id

    @property
    def name(self) -> str:
        """The handler's name."""
        return self._attempt.name

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._attempt.attempt

    @property
    def tenant(self) -> str:
        """Whose work it is; empty for nobody's in particular."""
        return self._attempt.tenant

    @property
    def correlation_id(self) -> str | None:
        """What the work belongs to, as its submit said; None when it said nothing."""
        ids = self._attempt.correlation
        return None if ids is None else ids.correlation_id

    @property
    def business_id(self) -> str | None:
        """What the work is about, as its submit said; None when it said nothing."""
        ids = self._attempt.correlation
        return None if ids is None else ids.business_id

    @property
    def traceparent(self) -> str | None:
        """The W3C Trace Context of the span that submitted the work; None when there was none."""
        ids = self._attempt.correlation
        return None if ids is None else ids.traceparent

    @property
    def idempotency_token(self) -> str:
        """A text that is equal for all attempts of this step and for no other step."""
        return f"{self._attempt.run_id}/{self._attempt.ordinal}"

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs of the run; empty for an intent."""
        return self._load().inputs

    @property
    def results(self) -> Mapping[str, Any]:
        """The results of the steps that this one needs, by step id."""
        return self._load().results

    @property
    def progress(self) -> Any:
        """What an earlier attempt last reported by `heartbeat`; None when nothing was."""
        return self._load().progress

    @property
    def cancelled(self) -> bool:
        """Whether the step was cancelled or its lease lost: what it still does is in vain."""
        return self._runtime.is_cancelled(self._attempt)

    @property
    def log(self) -> Any:
        """A structlog logger; every line carries the ids of run, step and attempt.

        Lines go to the log of the worker, as its level has it, and those from ``info`` on are kept with the
        attempt: ``trib logs`` shows them.
        """
        if self._log is None:
            self._log = logger(self.name, self._runtime.lines(self._attempt))
        return self._log

    def output(self, stream: str = "stdout") -> Output:
        """Return a place for the output of a program that this handler runs: ``trib logs`` shows it.

        Args:
            stream: ``stdout`` or ``stderr``.
        """
        if stream not in ("stdout", "stderr"):
            raise HandlerError(f"{stream!r} is no stream of output", hint="stdout or stderr")
        return self._runtime.lines(self._attempt).output(stream)

    @overload
    def result(self, step_id: str) -> Any: ...
    @overload
    def result(self, step_id: str, model: type[T]) -> T: ...
    def result(self, step_id: str, model: type[T] | None = None) -> T | Any:
        """Return the result of a step that this one needs.

        Args:
            step_id: its id in the workflow.
            model: the type to read it as: a pydantic model, a dataclass, ``list[int]`` …; as JSON if omitted.

        Raises:
            HandlerError: this step does not need that one, or its result does not fit ``model``.
        """
        results = self.results
        if step_id not in results:
            known = ", ".join(sorted(results)) or "none"
            raise HandlerError(
                f"step {self.id!r} has no result of a step {step_id!r}",
                hint=f"results at hand: {known}; add {step_id!r} to its needs",
            )
        value = results[step_id]
        if model is None:
            return value
        kind: Any = model
        try:
            return _adapter(kind).validate_python(value)
        except ValidationError as error:
            raise HandlerError(f"the result of step {step_id!r} does not fit {model!r}: {error}") from error

    def heartbeat(self, details: Any = None) -> None:
        """Report progress: shown in status, and given to the next attempt as `progress`.

        It also is the sign of life that ``heartbeat_timeout`` asks for.

        Args:
            details: any JSON value.

        Raises:
            StepCancelled: the step was cancelled or its lease lost; let it pass to stop the handler.
            CodecError: ``details`` cannot be stored as JSON.
        """
        if self.cancelled:
            raise StepCancelled(f"step {self.id} was cancelled")
        self._runtime.heartbeat(self._attempt, codec.dumps(details, what="progress"))

    def own_group(self, group: int) -> None:
        """Name a process group that this handler has started: should the worker's process die, it ends too.

        Args:
            group: its number, that of a process started with ``start_new_session=True``.
        """
        self._runtime.own_group(self._attempt, group)

    def connection(self) -> StepConnection:
        """Return the connection in whose transaction this step is finished: effects happen exactly once.

        What is written through it is committed together with the step's outcome, or not at all. It must be
        neither committed nor closed. A sync handler uses the return value itself, or ``with``; an async
        one awaits it, or uses ``async with``. An exception that leaves such a block rolls back all that
        this attempt has done on the connection.
        """
        return StepConnection(self._attempt, self._runtime)

    def _load(self) -> StepContext:
        if self._context is None:
            self._context = self._runtime.context(self._attempt)
        return self._context


class StepConnection:
    """A psycopg connection whose transaction finishes the step; opened on first use."""

    __slots__ = ("_attempt", "_opened", "_runtime")

    def __init__(self, attempt: Attempt, runtime: StepRuntime) -> None:
        self._attempt = attempt
        self._runtime = runtime
        self._opened: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__enter__(), name)

    def __enter__(self) -> Any:
        if self._opened is None:
            self._opened = self._runtime.connection(self._attempt)
        return self._opened

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._opened.rollback()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Any:
        if self._opened is None:
            self._opened = await self._runtime.aconnection(self._attempt)
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._opened.rollback()


@lru_cache(maxsize=256)
def _adapter(model: Hashable) -> TypeAdapter[Any]:
    kind: Any = model
    return TypeAdapter(kind)
