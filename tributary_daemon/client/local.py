"""The handlers of this process as checks of workflows see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.registry import REGISTRY, Registry
from tributary_daemon.spec.signatures import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence


class Local:
    """The handlers of this process; for inferred graphs also those that workers have registered.

    Args:
        load: imports what has handlers; called once, when a graph is to be inferred.
        registered: reads the registry of the database; called once, when a graph cannot be inferred without.
        rows: what is known of the registry already.
        complete: a name found nowhere deserves a warning.
        registry: of this process.
    """

    def __init__(
        self,
        *,
        load: Callable[[], None] | None = None,
        registered: Callable[[], Sequence[Known]] | None = None,
        rows: Sequence[Known] = (),
        complete: bool = False,
        registry: Registry = REGISTRY,
    ) -> None:
        self.complete = complete
        self._load = load
        self._registered = registered
        self._rows = {known.name: known for known in rows}
        self._registry = registry
        self._known: dict[str, Known | None] = {}

    def get(self, name: str) -> Known | None:
        """Return the handler of that name; what this process has comes first."""
        if self._known.get(name) is None:
            own = _known(self._registry, name)
            self._known[name] = own if own is not None else self._rows.get(name)
        return self._known[name]

    def names(self) -> Collection[str]:
        """Return the names known so far."""
        return {*self._registry.names(), *self._rows}

    def levels(self) -> Iterator[Sequence[Known]]:
        """Yield the handlers of this process; then those of the registry beside them."""
        if self._load is not None:
            self._load()
            self._load = None
        yield self._all()
        if self._registered is not None:
            self._rows = {known.name: known for known in self._registered()}
            self._registered = None
            yield self._all()

    def _all(self) -> list[Known]:
        return [known for name in sorted(self.names()) if (known := self.get(name)) is not None]


def _known(registry: Registry, name: str) -> Known | None:
    if name not in registry:
        return None
    try:
        signature = registry.get(name).signature
    except HandlerError:
        # whoever starts a worker with it is told
        return None
    return Known(name, signature.input_schema(), signature.output_schema(), signature.faults)
