"""What shares a breaker or a bucket: attempts of one name, and of one key out of the payload if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import codec
from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step

_LONGEST: Final = 200


class Shared:
    """Tells which attempts share something.

    Args:
        group: all of them under this name; None for each handler's own name.
        key: path into the payload (``order.bank``) whose value tells them apart; None for none.
        per_tenant: each tenant has its own.

    Raises:
        ConfigError: the path has an empty part.
    """

    def __init__(self, group: str | None, key: str | None, *, per_tenant: bool) -> None:
        if group is not None and (not isinstance(group, str) or not group):
            raise ConfigError("group is to be a name", hint='e.g. group = "bank"')
        if key is not None and (not isinstance(key, str) or not all(key.split("."))):
            raise ConfigError("key is to be a path into the payload", hint='e.g. key = "order.bank"')
        self._group = group
        self._path = key.split(".") if key else []
        self._per_tenant = per_tenant

    def of(self, step: Step, payload: Any) -> tuple[str, str]:
        """Return the tenant and the name that an attempt belongs to; a path that is missing is null."""
        name = self._group or step.name
        if self._path:
            name = f"{name}[{_text(_at(payload, self._path))}]"
        return step.tenant if self._per_tenant else "", name


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else codec.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
