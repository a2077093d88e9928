"""What stands in for resources in tests: other functions, or values."""

from __future__ import annotations

import inspect
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers import resources
from tributary_daemon.handlers.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_lock: Final = threading.Lock()
_in_force: Mapping[Resource, Resource] = {}


def in_force() -> Mapping[Resource, Resource]:
    """Return what stands in for what in this process at this moment."""
    return _in_force


def replacements(given: Mapping[Callable[..., Any], Any]) -> dict[Resource, Resource]:
    """Return the records of what is to stand in for resources.

    Args:
        given: resource -> what is there instead: a function (``def`` or ``lambda``) is called in its place,
            anything else is the value itself.

    Raises:
        HandlerError: one of them is no resource, or what stands in for it cannot be opened as one.
    """
    made = {}
    for function, value in given.items():
        found = resources.resource_of(function)
        made[found] = _stand_in(found, value)
    for found in made:
        resources.check(f"override of {found.name}", {"": found}, is_async=True, replaced=made)
    return made


@contextmanager
def override(function: Callable[..., Any], value: Any) -> Iterator[None]:
    """Let something stand in for a resource in this process while the block lasts; see `replacements`."""
    global _in_force  # noqa: PLW0603 - the one such mapping of this process, replaced as a whole
    made = replacements({function: value})
    with _lock:
        before, _in_force = _in_force, {**_in_force, **made}
    (found,) = made
    try:
        yield
    finally:
        with _lock:
            rest = {key: other for key, other in _in_force.items() if key is not found}
            _in_force = {**rest, found: before[found]} if found in before else rest


def _stand_in(found: Resource, value: Any) -> Resource:
    if not inspect.isfunction(value):
        return Resource(lambda: value, found.scope)
    made = replace(resources.record_of(value) or Resource(value), scope=found.scope)
    if made.is_async and not found.is_async:
        raise HandlerError(
            f"the async function {made.name} cannot stand in for {found.name}, which plain handlers use",
            hint="let a plain function stand in for it, or a value",
        )
    return made
