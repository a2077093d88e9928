"""`Hook`: what is called before and after work is submitted, and before, after and around each attempt.

Which methods a class has of its own is looked up once: those it does not override cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from tributary_daemon.model.patterns import like

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.handlers.step import Step


_BUILT_IN: Final = "trib."


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is about to be submitted.

    Attributes:
        kind: ``intent``, ``run`` of a workflow, or ``step`` of one built in Python with payloads.
        name: of the handler or the workflow.
        payload: JSON value: the payload, or the inputs of the run.
        tenant: whose work it is; empty for nobody's in particular.
        step: id of the step; None for the others.
        key: idempotency key.
        options: those given with this submit.
        borrowed: it is recorded in the caller's own transaction, which may still be rolled back.
    """

    kind: Literal["intent", "run", "step"]
    name: str
    payload: Any
    tenant: str = ""
    step: str | None = None
    key: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    borrowed: bool = False


class Recorded(Protocol):
    """What a submit led to; ``created``: false when its key was known and ``id`` is the existing one."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def created(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Host:
    """Where a hook is at work.

    Attributes:
        url: returns the libpq URL of the database.
        label: of the process, e.g. ``web1/2``; of a client ``client``.
        place: ``worker`` or ``client``.
    """

    url: Callable[[], str]
    label: str
    place: Literal["worker", "client"]


class Hook:
    """Override what you need; every method may be ``def`` or ``async def``.

    A method that returns None leaves the payload or result as it is; anything else takes its place.
    One object serves all attempts of a process, from several threads at once.

    Attributes:
        names: patterns of the handlers' and workflows' names it is for (``billing.%``); empty for all but
            the built-in ones (``trib.%``).
        blocking: its plain methods wait for something (a disk, a network): for async handlers they are
            called in a thread, so that the loop goes on.
        largest: bytes of JSON that it can take in, where that is more than payloads and results may have
            otherwise: what it leaves has to be small enough.
    """

    names: tuple[str, ...] = ()
    blocking: bool = False
    largest: int | None = None

    def open(self, host: Host) -> None:
        """Get ready in a process: called once, before anything else, on a shallow copy of the object."""

    def close(self) -> None:
        """Give back what `open` and the other methods have acquired."""

    def before_submit(self, work: Work) -> Any:
        """Look at work that has passed all checks; what this raises refuses it, and nothing is stored."""

    def after_submit(self, work: Work, receipt: Recorded) -> Any:
        """Take note of work that is recorded; what this raises is told and changes nothing."""

    def before_work(self, step: Step, payload: Any) -> Any:
        """Look at the payload of an attempt; what this raises is judged like an error of the handler."""

    def around_work(self, step: Step, payload: Any, call: Callable[[Any], Any]) -> Any:
        """Return the result of an attempt: that of ``call(payload)``, which does all that lies further in.

        Around async handlers it has to be ``async def``, and awaits ``call``. What it returns is the result,
        None included.
        """

    def after_work(self, step: Step, payload: Any, result: Any, error: BaseException | None) -> Any:
        """Look at the end of an attempt, good (``error`` is None) or bad, whose `before_work` has returned.

        What this raises fails an attempt that went well; it does not replace an error that is there already.
        """

    def load(self, tenant: str, value: Any) -> Any:  # noqa: ARG002 - for hooks that override it
        """Return a stored value with what this hook keeps elsewhere in its place; for whoever reads it.

        Always ``def``; called in a thread. What holds nothing of the hook's is returned as it is.
        """
        return value

    def store(self, tenant: str, value: Any) -> Any:  # noqa: ARG002 - for hooks that override it
        """Return a value as it is to be stored: the results of runs and the inputs of children pass it."""
        return value


def overrides(hook: Hook, method: str) -> bool:
    """Return whether a hook has a method of its own."""
    return getattr(type(hook), method) is not getattr(Hook, method)


def is_for(hook: Hook, name: str) -> bool:
    """Return whether a hook is for a handler or workflow of that name."""
    if not hook.names:
        return not name.startswith(_BUILT_IN)
    return any(like(pattern).fullmatch(name) for pattern in hook.names)


def hook_name(hook: Hook) -> str:
    """Return what a hook is called, for people."""
    kind = type(hook)
    return f"{kind.__module__}.{kind.__qualname__}"
