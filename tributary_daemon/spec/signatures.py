"""What is known of handlers when a workflow is checked: their names and the JSON Schemas of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from tributary_daemon.handlers.signature import Fault


@dataclass(frozen=True, slots=True)
class Known:
    """A handler as far as checks need it.

    Attributes:
        name: of the handler.
        input_schema: of its payload; empty when nothing is known.
        output_schema: of its result.
        faults: tells what is wrong with a payload (JSON text); None where only schemas are known.
        served: False if no worker has it now; then another that makes the same type is preferred.
    """

    name: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    faults: Callable[[str], list[Fault]] | None = None
    served: bool = True


class Signatures(Protocol):
    """Where checks ask for handlers; see `Listed` for the plain one."""

    @property
    def complete(self) -> bool:
        """Whether a name that it lacks deserves a warning."""
        ...

    def get(self, name: str) -> Known | None:
        """Return what is known of a handler."""
        ...

    def names(self) -> Collection[str]:
        """Return the names to guess from."""
        ...

    def levels(self) -> Iterator[Sequence[Known]]:
        """Yield all handlers to infer a graph from; a later level holds more, and may cost more."""
        ...


class Listed:
    """Handlers in a list.

    Args:
        handlers: with unique names.
        complete: a name that is not among them deserves a warning.
    """

    def __init__(self, handlers: Iterable[Known], *, complete: bool = False) -> None:
        self._handlers = {known.name: known for known in handlers}
        self.complete = complete

    def get(self, name: str) -> Known | None:
        """Return the handler of that name."""
        return self._handlers.get(name)

    def names(self) -> Collection[str]:
        """Return all names."""
        return self._handlers.keys()

    def levels(self) -> Iterator[Sequence[Known]]:
        """Yield all of them at once."""
        yield list(self._handlers.values())
