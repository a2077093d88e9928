"""`Handler` records and the `Registry` that finds them by name."""

from __future__ import annotations

import difflib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tributary_daemon.errors import HandlerError, NotFound
from tributary_daemon.handlers import code_version, signature
from tributary_daemon.handlers.step import Step

if TYPE_CHECKING:
    from tributary_daemon.handlers.signature import Signature

Isolation = Literal["process"]
Classifier = Callable[[BaseException], bool]


class DuplicateHandlerError(HandlerError):
    """Two functions claim one handler name."""


@dataclass(frozen=True, eq=False)
class Handler:
    """A function under a name, with what its decorator said.

    Attributes:
        name: ``<domain>.<action>.vN``.
        declared: the function as written.
        is_async: whether it runs in the loop rather than in a thread.
        options: those given of ``queue``, ``priority``, ``max_attempts``, ``timeout`` (seconds) and
            ``retry`` (as `Retry.to_json`).
        retry_if: says of an exception whether another attempt makes sense; None leaves it to the policy.
        isolation: ``process``: each attempt in a disposable process.
        memory: bytes that an isolated attempt may use; None for no cap.
        heartbeat_timeout: seconds after the start or the last `Step.heartbeat` in which the next one must
            come; None for never.
        description: one line for people.
        local_names: what was in sight where a nested function was defined.
        durable: it is a workflow function, replayed from its history.
        gives: type of the parameter that is filled with the attempt itself.
        run_timeout: seconds for a whole run of a workflow function; None for no limit.
        declared_version: of its code, as its decorator says; None leaves it to the source.
        declared_at: seconds since 1970 when that happened.
    """

    name: str
    declared: Callable[..., Any]
    is_async: bool
    options: dict[str, Any] = field(default_factory=dict)
    retry_if: Classifier | None = None
    isolation: Isolation | None = None
    memory: int | None = None
    heartbeat_timeout: float | None = None
    description: str | None = None
    local_names: dict[str, Any] = field(default_factory=dict, repr=False)
    durable: bool = False
    gives: type = Step
    run_timeout: float | None = None
    declared_version: str | None = None
    declared_at: float = field(default_factory=time.time)

    @cached_property
    def signature(self) -> Signature:
        """The checked signature; read on first use, as types may be defined below their handler."""
        return signature.read(self.declared, self.name, self.local_names, self.gives)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """What to call: the function, or the method of the one instance of its class in this process."""
        if not signature.is_method(self.declared):
            return self.declared
        method: Callable[..., Any] = getattr(_instance(self.name, self.declared), self.declared.__name__)
        return method

    @cached_property
    def version(self) -> str:
        """What tells its code apart from other code of the same name: declared, or of its source."""
        if self.declared_version is not None:
            return self.declared_version
        return code_version.of(self.declared, self.declared_at)

    @property
    def place(self) -> str:
        """Where it is defined: ``module.qualname (file:line)``."""
        return signature.place(self.declared)


_instances: dict[type, Any] = {}
_instances_lock = threading.Lock()


def _instance(name: str, method: Callable[..., Any]) -> Any:
    owner: Any = sys.modules.get(method.__module__)
    for part in method.__qualname__.split(".")[:-1]:
        owner = getattr(owner, part, None)
    if not isinstance(owner, type):
        raise HandlerError(
            f"handler {name}: the class of {signature.place(method)} cannot be found in its module",
            hint="define it at module level",
        )
    with _instances_lock:
        if owner not in _instances:
            try:
                _instances[owner] = owner()
            except TypeError as error:
                raise HandlerError(
                    f"handler {name}: {owner.__qualname__} cannot be built without arguments: {error}",
                    hint="a class with handlers is built once per process, by calling it",
                ) from error
        return _instances[owner]


class Registry:
    """Handlers by name."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._handlers

    def __iter__(self) -> Iterator[Handler]:
        return iter(list(self._handlers.values()))

    def __len__(self) -> int:
        return len(self._handlers)

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._handlers))

    def add(self, handler: Handler) -> None:
        """Add a handler; the same function again (its module was imported anew) replaces itself.

        Raises:
            DuplicateHandlerError: another function has that name; the message says both places.
        """
        known = self._handlers.get(handler.name)
        if known is not None and _position(known) != _position(handler):
            raise DuplicateHandlerError(
                f"two handlers are named {handler.name!r}: {known.place} and {handler.place}",
                hint="rename one, or raise its version (…v2)",
            )
        self._handlers[handler.name] = handler

    def remove(self, name: str) -> None:
        """Forget a handler; nothing happens when it is unknown."""
        self._handlers.pop(name, None)

    def get(self, name: str) -> Handler:
        """Return the handler of that name.

        Raises:
            NotFound: there is none; the hint names the nearest.
        """
        try:
            return self._handlers[name]
        except KeyError:
            near = self.nearest(name)
            hint = f"did you mean {near!r}?" if near else "import its module with --import MODULE"
            raise NotFound(f"no handler is named {name!r}", hint=hint) from None

    def nearest(self, name: str) -> str | None:
        """Return the known name most like ``name``; None when none comes close."""
        close = difflib.get_close_matches(name, self._handlers, n=1, cutoff=0.6)
        return close[0] if close else None

    def find_for_model(self, model: type) -> Handler:
        """Return the handler whose whole payload is of type ``model``.

        Raises:
            NotFound: none takes it.
            HandlerError: several do; the message names them.
        """
        found = [handler for handler in self if handler.signature.whole is model]
        if not found:
            raise NotFound(
                f"no handler takes {model.__qualname__} as its payload",
                hint="submit by name, or import the module of its handler first",
            )
        if len(found) > 1:
            names = " and ".join(f"{handler.name} ({handler.place})" for handler in found)
            raise HandlerError(f"several handlers take {model.__qualname__}: {names}", hint="submit by name")
        return found[0]

    def bind(self) -> None:
        """Read every signature that was put off.

        Raises:
            HandlerError: one of them is wrong.
        """
        for handler in self:
            _ = handler.signature

    def copy(self) -> Registry:
        """Return a registry of its own with the same handlers."""
        twin = Registry()
        twin._handlers.update(self._handlers)
        return twin


def _position(handler: Handler) -> tuple[str, str, int]:
    code = signature.code_of(handler.declared)
    return handler.declared.__qualname__, code.co_filename, code.co_firstlineno


REGISTRY = Registry()
"""Collects what the decorator `handler` sees in this process."""
