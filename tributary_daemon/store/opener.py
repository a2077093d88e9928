"""Opening what a claimed step reads: what cannot be opened keeps its own step from starting, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from tributary_daemon.errors import EncryptionError
from tributary_daemon.sealing.box import Box, opened, origins
from tributary_daemon.sealing.envelope import NOWHERE
from tributary_daemon.store import places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.places import Rule

_ROOTS: Final = """
    select r.run_id::text, r.root_id::text
    from unnest(%s::uuid[]) as u(run_id)
    cross join lateral (
        select * from tributary.runs k where k.shard = %s::smallint and k.run_id = u.run_id offset 0
    ) as r
"""


class Run(Protocol):
    """What `contexts.RunFacts` has."""

    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def run(self) -> Mapping[str, Any]: ...


class Facts(Protocol):
    """What `contexts.StepFacts` has."""

    @property
    def facts(self) -> Run: ...
    @property
    def steps(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def progress(self) -> Any: ...
    @property
    def template(self) -> Any: ...
    @property
    def items(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def aggregate(self) -> tuple[str, Any] | None: ...
    @property
    def ended_child(self) -> tuple[Any, Any] | None: ...


F = TypeVar("F", bound=Facts)


class Unreadable:
    """Stands for a value that cannot be opened."""

    __slots__ = ("error",)

    def __init__(self, error: EncryptionError) -> None:
        self.error = error


class Opener:
    """Opens values with the keys of a process.

    Args:
        keys: None for none.
    """

    def __init__(self, keys: Ring | None) -> None:
        self._keys = keys

    def open(  # noqa: PLR0917 - asked for every value
        self, connection: Connection, shard: int, run: str, value: Any, rule: Rule, tenant: str | None = None
    ) -> Any:
        """Return a value as its step sees it; `Unreadable` where that cannot be."""
        if type(value) is not Box:
            return value
        try:
            foreign = {origin.run for origin in origins(value)} - {run, NOWHERE}
            roots: Mapping[str, str] = {}
            if foreign:
                rows = connection.execute(_ROOTS, ([*foreign, run], shard)).fetchall()
                roots = {row[0]: row[1] for row in rows}
            return opened(value, self._keys, places.admits(rule, roots, tenant))
        except EncryptionError as error:
            return Unreadable(error)


def unreadable_in(facts: Facts) -> EncryptionError | None:
    """Return why the surroundings of a step cannot be read; None where they can."""
    for value in _values(facts):
        if type(value) is Unreadable:
            return value.error
    return None


def readable(facts: F) -> F:
    """Return the surroundings of a step.

    Raises:
        EncryptionError: something in them cannot be decrypted.
    """
    if (error := unreadable_in(facts)) is not None:
        raise error
    return facts


def _values(facts: Facts) -> Iterable[Any]:
    yield from (facts.facts.inputs, facts.facts.run.get("error"), facts.progress, facts.template)
    if facts.aggregate is not None:
        yield facts.aggregate[1]
    if facts.ended_child is not None:
        yield facts.ended_child[0]
    for view in facts.steps.values():
        yield view.get("result")
        yield from _of_items(view.get("items", ()))
    yield from _of_items(facts.items)


def _of_items(items: Iterable[Mapping[str, Any]]) -> Iterable[Any]:
    for item in items:
        yield item.get("result")
        yield item.get("item")
