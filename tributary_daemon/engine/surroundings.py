"""What the engine may ask about a step beyond its payload: protocols that the store's values fulfil."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PlanView(Protocol):
    """A stored plan."""

    @property
    def result(self) -> Any: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...


class RunView(Protocol):
    """What never changes about a run, as expressions see it."""

    @property
    def plan(self) -> PlanView: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def run(self) -> Mapping[str, Any]: ...


class Surroundings(Protocol):
    """What a step may refer to; `store.contexts.StepFacts` says what each is."""

    @property
    def facts(self) -> RunView: ...
    @property
    def steps(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def secrets(self) -> Mapping[str, str]: ...
    @property
    def step(self) -> Mapping[str, Any]: ...
    @property
    def template(self) -> Any: ...
    @property
    def good(self) -> bool: ...
    @property
    def failed(self) -> bool: ...
    @property
    def cancelled(self) -> bool: ...
    @property
    def items(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def aggregate(self) -> tuple[str, Any] | None: ...
    @property
    def child(self) -> tuple[str, str, PlanView] | None: ...
