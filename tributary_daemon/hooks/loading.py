"""Hooks as a configuration names them: found, checked, made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.config.values import Refused, names, nearest
from tributary_daemon.engine.hooking import Hooks
from tributary_daemon.errors import ConfigError, TributaryError
from tributary_daemon.handlers.discovery import imported
from tributary_daemon.handlers.hooks import Hook

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Sequence

    from tributary_daemon.handlers.hooks import Host
    from tributary_daemon.handlers.registry import Handler

GROUP: Final = "tributary.hooks"
SHIPPED: Final = {
    "audit": "tributary_daemon.hooks.audit:Audit",
    "blob": "tributary_daemon.hooks.blob:Blob",
    "circuit_breaker": "tributary_daemon.hooks.circuit_breaker:CircuitBreaker",
    "rate_limit": "tributary_daemon.hooks.rate_limit:RateLimit",
    "validation": "tributary_daemon.hooks.validation:Validation",
}
"""Short name -> where it is; installed packages add to them by entry points of the group."""
_OWN: Final = ("use", "names")


def loaded(
    given: Sequence[Mapping[str, Any] | Hook], loop: Callable[[], AbstractEventLoop] | None = None
) -> Hooks | None:
    """Return the hooks of a process; None where there are none.

    Args:
        given: tables as ``trib.toml`` has them, or objects; the outermost first.
        loop: see `Hooks`.

    Raises:
        ConfigError: one cannot be made; the message says which, and why.
    """
    return Hooks(make(given), loop) if given else None


def opened(
    given: Sequence[Mapping[str, Any] | Hook], host: Host, handlers: Iterable[Handler] = ()
) -> Hooks | None:
    """Return hooks that are ready to work at a host; errors as for `loaded`.

    Args:
        given: see `loaded`.
        host: where.
        handlers: that they are going to lie around.

    Raises:
        HandlerError: they cannot lie around one of these.
    """
    hooks = loaded(given)
    if hooks is not None:
        for handler in handlers:
            hooks.of(handler)
        hooks.open(host)
    return hooks


def make(given: Iterable[Mapping[str, Any] | Hook]) -> list[Hook]:
    """Return hooks, made of what a configuration says; errors as for `loaded`."""
    return [_made(place, entry) for place, entry in enumerate(given, 1)]


def _made(place: int, entry: Mapping[str, Any] | Hook) -> Hook:
    if isinstance(entry, Hook):
        return entry
    if not isinstance(entry, Mapping):
        raise ConfigError(
            f"hook {place} is of type {type(entry).__qualname__}",
            hint="hooks are objects of subclasses of Hook, or tables with a key `use`",
        )
    use = entry["use"]
    called = f"hook {place} ({use})"
    kind = _class(called, use)
    options = {key: value for key, value in entry.items() if key not in _OWN}
    _check(called, kind, options)
    try:
        hook = kind(**options)
        if "names" in entry:
            hook.names = names(entry["names"])
    except Refused as error:
        raise ConfigError(f"{called}: names: {error}") from None
    except TributaryError as error:
        raise ConfigError(f"{called}: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise ConfigError(
            f"{called} cannot be made: {type(error).__qualname__}: {error}", hint="look at its __init__"
        ) from error
    return hook


def _class(called: str, use: str) -> type[Hook]:
    place = SHIPPED.get(use) or _installed().get(use) or use
    module, colon, name = place.rpartition(":")
    if not colon:
        known = sorted({*SHIPPED, *_installed()})
        raise ConfigError(
            f"{called}: there is no hook of that name",
            hint=f"{nearest(use, known)}; your own is named package.module:Class or ./file.py:Class",
        )
    try:
        found = getattr(import_module(module) if use in SHIPPED else imported(module), name, None)
    except TributaryError as error:
        raise ConfigError(f"{called}: {error.message}", hint=error.hint) from error
    if not (isinstance(found, type) and issubclass(found, Hook)):
        what = "nothing of that name" if found is None else "no subclass of Hook"
        raise ConfigError(f"{called}: {name} in {module} is {what}", hint="name a class that extends Hook")
    return found


def _installed() -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=GROUP)}


def _check(called: str, kind: type[Hook], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(kind).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    for key in options:
        if key not in known:
            raise ConfigError(f"{called}: unknown option '{key}'", hint=nearest(key, [*known, *_OWN]))
    missing = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.name in known and parameter.name not in options
    ]
    if missing:
        raise ConfigError(f"{called}: option '{missing[0]}' is missing", hint=f"it has: {', '.join(known)}")
