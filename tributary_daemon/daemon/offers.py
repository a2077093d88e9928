"""What a process can run: the handlers that its modules hold, described for the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.builtin import shell
from tributary_daemon.handlers.discovery import discover
from tributary_daemon.model.patterns import like
from tributary_daemon.spec.functions import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tributary_daemon.engine.hooking import Hooks
    from tributary_daemon.handlers.registry import Handler, Registry


@dataclass(frozen=True, slots=True)
class Offer:
    """Handlers and what kept others from being offered.

    Attributes:
        registry: handlers by name.
        failures: ``{module, names, error}`` per module that did not import or handler that is wrong.
    """

    registry: Registry
    failures: list[dict[str, Any]]

    def describe(self) -> list[dict[str, Any]]:
        """Return the handlers as the registry of the database takes them."""
        return [_describe(handler) for handler in self.registry]


def offered(
    imports: Sequence[str],
    *,
    enable_shell: bool = False,
    directory: str | None = None,
    hooks: Hooks | None = None,
) -> Offer:
    """Import entry points and modules; a handler that cannot be called is reported, not offered.

    Args:
        imports: modules or files.
        enable_shell: offer the handler of shell steps.
        directory: where those run.
        hooks: that are to lie around them.
    """
    found = discover(imports)
    failures = [
        {"module": failure.module, "names": list(failure.names), "error": failure.error}
        for failure in found.failures
    ]
    registry = found.registry.copy()
    for handler in found.registry:
        try:
            _describe(handler)
            if hooks is not None:
                hooks.of(handler)
        except HandlerError as error:
            registry.remove(handler.name)
            failures.append(
                {"module": handler.declared.__module__, "names": [handler.name], "error": str(error)}
            )
    if enable_shell:
        shell.add_to(registry, directory=directory)
    return Offer(registry, failures)


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    r"""Return the names that fit one of the patterns; all without patterns.

    A pattern is one of SQL's LIKE: ``%`` is any text, ``_`` any character, ``\`` takes their meaning away.
    """
    if not patterns:
        return sorted(names)
    wanted = [like(pattern) for pattern in patterns]
    return sorted(name for name in names if any(pattern.fullmatch(name) for pattern in wanted))


def _describe(handler: Handler) -> dict[str, Any]:
    described = {
        "name": handler.name,
        "description": handler.description,
        "options": handler.options,
        "input_schema": handler.signature.input_schema(),
        "output_schema": handler.signature.output_schema(),
    }
    if handler.durable:
        described["function"] = spec_of(handler).plan()
    return described
