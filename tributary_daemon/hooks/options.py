"""Options of hooks, as ``trib.toml`` and Python give them: parsed like settings, refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tributary_daemon.config import values
from tributary_daemon.config.values import Refused
from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

T = TypeVar("T")


def option(name: str, value: Any, parse: Callable[[Any], T]) -> T:
    """Return the parsed value of an option.

    Raises:
        ConfigError: it does not fit; the message names it.
    """
    try:
        return parse(value)
    except Refused as error:
        raise ConfigError(f"{name}: {error}") from None


def seconds(name: str, value: float | str | timedelta, low: float = 0.0) -> float:
    """Return a duration of at least ``low`` seconds.

    Raises:
        ConfigError: it is none.
    """
    plain = value if isinstance(value, int | float | str) else value.total_seconds()
    return option(name, plain, values.duration(low))
