"""The decorator `resource`, and `Use`, by which a parameter of a handler asks for what a resource makes."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar, overload

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers import unguarded
from tributary_daemon.handlers.step import Step
from tributary_daemon.handlers.types import UnresolvedTypeError

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

F = TypeVar("F", bound=Callable[..., Any])
Scope = Literal["process", "attempt"]

_ATTRIBUTE: Final = "__tributary_resource__"
_SCOPES: Final = ("process", "attempt")
_YIELDED: Final = ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")


class Wants(NamedTuple):
    """What the parameters of a resource ask for: other resources, and the step."""

    resources: Mapping[str, Resource]
    step_name: str | None


@dataclass(frozen=True, eq=False)
class Resource:
    """A function whose value handlers ask for.

    Attributes:
        function: as written.
        scope: ``process``: opened once in each process; ``attempt``: for each attempt.
        local_names: what was in sight where a nested function was defined.
    """

    function: Callable[..., Any]
    scope: Scope = "process"
    local_names: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """``module.function``, for people."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @cached_property
    def is_async(self) -> bool:
        """Whether it is opened and closed in an event loop."""
        plain = inspect.unwrap(self.function)
        return inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)

    @cached_property
    def closes(self) -> bool:
        """Whether it yields its value, so that something follows."""
        plain = inspect.unwrap(self.function)
        return inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain)

    @cached_property
    def manager(self) -> Callable[..., AbstractContextManager[Any]]:
        """The function as a maker of context managers; for a sync one that closes."""
        return contextmanager(self.function)

    @cached_property
    def amanager(self) -> Callable[..., AbstractAsyncContextManager[Any]]:
        """The same for an async one."""
        return asynccontextmanager(self.function)

    @cached_property
    def wants(self) -> Wants:
        """What its parameters ask for; read on first use, as it may be defined further down.

        Raises:
            HandlerError: a parameter cannot be filled.
        """
        return _wants(self)

    @cached_property
    def made(self) -> Any:
        """The type of its value; `Any` where its annotation does not say."""
        try:
            hint = typing.get_type_hints(
                inspect.unwrap(self.function), _in_sight(self.function, self.local_names)
            ).get("return", Any)
        except Exception:  # noqa: BLE001 - nothing but a check hangs on it, and it may be for type checkers only
            return Any
        if not self.closes:
            return hint
        origin = typing.get_origin(hint)
        within = typing.get_args(hint)
        return within[0] if getattr(origin, "__name__", "") in _YIELDED and within else Any


class Use:
    """Marks a parameter that gets the value of a resource: ``bank: Annotated[Bank, Use(open_bank)]``.

    Args:
        function: a function decorated with `resource`.

    Raises:
        HandlerError: it is no resource.
    """

    __slots__ = ("resource",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.resource = resource_of(function)

    def __repr__(self) -> str:
        return f"Use({self.resource.name})"


@overload
def resource(function: F, /) -> F: ...
@overload
def resource(*, scope: Scope = "process") -> Callable[[F], F]: ...
def resource(function: F | None = None, /, *, scope: Scope = "process") -> F | Callable[[F], F]:
    """Declare a function that makes what handlers need beside their payload; it stays callable.

    It returns the value, or yields it once: what follows the ``yield`` closes it. It may be async. Its own
    parameters are other resources, asked for like those of handlers. With ``scope="attempt"`` what a handler
    raises is raised at the ``yield``, as by `contextlib.contextmanager`.

    Args:
        function: set by the bare decorator.
        scope: ``process``: opened on first use, once in each process, closed when the process ends in order;
            ``attempt``: opened for each attempt and closed after it. The latter may take the `Step`.

    Raises:
        HandlerError: the scope is unknown, it is not a function, or what closes the resource of an attempt
            would be passed over when its handler fails.
    """
    if scope not in _SCOPES:
        raise HandlerError(f"unknown scope {scope!r} of a resource", hint='use "process" or "attempt"')
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None

    def declare(function: F) -> F:
        target: Any = function.__func__ if isinstance(function, staticmethod) else function
        if not inspect.isfunction(target):
            raise HandlerError(
                f"{target!r} cannot be a resource: it is not a function",
                hint="decorate a function that returns or yields the value",
            )
        if scope == "attempt" and unguarded.has_unguarded_end(target):
            raise HandlerError(
                f"resource {target.__module__}.{target.__qualname__}: what follows its `yield` would not run "
                "when the handler fails, as its exception is raised there",
                hint="close it in `finally:`, or yield inside `with`",
            )
        nested = caller is not None and "<locals>" in target.__qualname__
        local_names = dict(caller.f_locals) if caller is not None and nested else {}
        setattr(target, _ATTRIBUTE, Resource(target, scope, local_names))
        return function

    return declare if function is None else declare(function)


def resource_of(function: object) -> Resource:
    """Return the record of a decorated function.

    Raises:
        HandlerError: it is none.
    """
    found = record_of(function)
    if found is None:
        called = getattr(function, "__qualname__", None) or repr(function)
        raise HandlerError(f"{called} is no resource", hint="decorate the function with @resource")
    return found


def record_of(function: object) -> Resource | None:
    """Return the record of a decorated function; None for anything else."""
    found = getattr(function, _ATTRIBUTE, None)
    return found if isinstance(found, Resource) else None


def used(annotation: Any) -> Resource | None:
    """Return the resource that an annotation asks for; None when it asks for none."""
    if typing.get_origin(annotation) is not typing.Annotated:
        return None
    marks = (mark for mark in typing.get_args(annotation)[1:] if isinstance(mark, Use))
    return next((mark.resource for mark in marks), None)


def check(
    who: str, wanted: Mapping[str, Resource], *, is_async: bool, replaced: Mapping[Resource, Resource]
) -> None:
    """See that a handler, or whoever asks, can be given the resources it names.

    Args:
        who: asks, for messages: ``handler a.b.v1``.
        wanted: by parameter.
        is_async: whether who asks runs in a loop.
        replaced: what stands in for what; see `overrides`.

    Raises:
        HandlerError: they need each other in a circle, a sync one needs an async one, or one of a process
            needs one of an attempt.
        UnresolvedTypeError: a type in their signatures is not known (yet).
    """
    for found in wanted.values():
        _follow(who, found, (), replaced, is_async=is_async)


def fits(annotation: Any, found: Resource) -> bool:
    """Return whether a resource may make what an annotation promises; in doubt it may."""
    promised = typing.get_args(annotation)[0]
    if not (_is_plain_class(promised) and _is_plain_class(found.made)):
        return True
    return issubclass(found.made, promised) or issubclass(promised, found.made)


def _follow(
    who: str,
    found: Resource,
    trail: tuple[Resource, ...],
    replaced: Mapping[Resource, Resource],
    *,
    is_async: bool,
) -> None:
    actual = replaced.get(found, found)
    if actual in trail:
        circle = [*trail[trail.index(actual) :], actual]
        raise HandlerError(
            f"{who}: resources need each other: {' -> '.join(each.name for each in circle)}",
            hint="take one out of the circle: what both need can be a resource of its own",
        )
    if actual.is_async and not is_async:
        raise HandlerError(
            f"{who} is a plain function and cannot get the async resource {actual.name}",
            hint="make it `async def`, or open the resource in a plain function",
        )
    for needed in actual.wants.resources.values():
        if actual.scope == "process" and replaced.get(needed, needed).scope == "attempt":
            raise HandlerError(
                f"resource {actual.name} lives as long as its process and cannot keep {needed.name}, "
                "which lives as long as an attempt",
                hint='declare it with scope="attempt" too',
            )
        _follow(f"resource {actual.name}", needed, (*trail, actual), replaced, is_async=actual.is_async)


def _wants(found: Resource) -> Wants:
    parameters = inspect.signature(found.function).parameters.values()
    plain = inspect.unwrap(found.function)

    # only what the parameters say is evaluated: what it returns may be known to the type checker alone
    def shim() -> None: ...

    shim.__annotations__ = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
    try:
        hints = typing.get_type_hints(shim, _in_sight(plain, found.local_names), include_extras=True)
    except NameError as error:
        raise UnresolvedTypeError(
            f"resource {found.name}: {error.name!r} in its signature is not defined",
            hint="types of its parameters are needed at run time: import them outside `if TYPE_CHECKING:`",
        ) from error
    resources: dict[str, Resource] = {}
    step_name: str | None = None
    for parameter in parameters:
        hint = hints.get(parameter.name)
        wanted = used(hint)
        if wanted is not None and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            resources[parameter.name] = wanted
        elif hint is Step and step_name is None and found.scope == "attempt":
            step_name = parameter.name
        elif parameter.default is parameter.empty:
            raise HandlerError(
                f"resource {found.name}: nothing can be given for its parameter {parameter.name!r}",
                hint="annotate it as Annotated[Type, Use(…)], or give it a default; "
                'with scope="attempt" one may be the Step',
            )
    return Wants(MappingProxyType(resources), step_name)


def _in_sight(function: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    # Step is in sight even where its import is for the type checker only
    return {"Step": Step, **inspect.unwrap(function).__globals__, **local_names}


def _is_plain_class(kind: Any) -> bool:
    return isinstance(kind, type) and kind is not Any and not getattr(kind, "_is_protocol", False)
