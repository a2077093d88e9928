"""Visits every reachable state of a model, breadth first; finds the shortest way to what must not be."""

from __future__ import annotations

import time
from array import array
from typing import Any, NamedTuple, Protocol


class Model(Protocol):
    """What can be searched."""

    def first(self) -> Any:
        """Return the state that all histories start from."""

    def canonical(self, state: Any) -> Any:
        """Return the one state that stands for all that differ in names only."""

    def moves(self, state: Any) -> Any:
        """Yield every move (what, helps, world, broken) from a state."""

    def done(self, state: Any) -> bool:
        """Return whether all work has come to its end."""

    def broken_by(self, state: Any, move: Any) -> str | None:
        """Return the promise that a move breaks."""

    def broken_in(self, state: Any) -> str | None:
        """Return the promise that does not hold in a state."""


class Found(NamedTuple):
    """What a search has found."""

    states: int
    moves: int
    depth: int
    ended: int
    seconds: float  # of one core
    broken: str | None = None
    history: tuple[tuple[tuple, Any], ...] = ()
    whole: bool = True

    def story(self) -> str:
        """Return the shortest history that breaks a promise, move by move."""
        lines = [f"broken: {self.broken}"]
        for number, (what, state) in enumerate(self.history):
            lines += [f"{number:>3}. {_words(what)}", f"       {tell(state)}"]
        return "\n".join(lines)


def tell(state: Any) -> str:
    """Return a state in one line."""
    told = getattr(state, "tell", None)
    return told() if told else repr(state)


def _words(what: tuple) -> str:
    head, *rest = what
    return f"{head} {' '.join(map(str, rest))}".strip()


def search(model: Model, most: int | None = None) -> Found:
    """Visit every state (at most so many); stop at the first promise that is broken.

    Afterwards it is asked from which states no end can be reached by helpful moves alone: there work is lost.
    """
    began = time.process_time()
    start = model.canonical(model.first())
    numbers: dict[Any, int] = {start: 0}
    states, parents, depths = [start], array("l", [-1]), array("H", [0])
    sources, targets = array("l"), array("l")
    ended, count = [], 0

    def found(broken: str | None, last: tuple[int, Any] | None = None, *, whole: bool = True) -> Found:
        history = _history(model, states, parents, *last) if last else ()
        seconds = time.process_time() - began
        return Found(len(states), count, max(depths), len(ended), seconds, broken, history, whole)

    if broken := model.broken_in(start):
        return found(broken, (0, None))
    number = 0
    while number < len(states):
        state = states[number]
        if model.done(state):
            ended.append(number)
        for move in model.moves(state):
            count += 1
            broken = model.broken_by(state, move)
            after = model.canonical(move.world)
            known = numbers.get(after)
            if known is None:
                known = numbers[after] = len(states)
                states.append(after)
                parents.append(number)
                depths.append(depths[number] + 1)
                broken = broken or model.broken_in(after)
            if broken:
                return found(broken, (number, after))
            if move.helps:
                sources.append(number)
                targets.append(known)
        number += 1
        if most is not None and len(states) >= most:
            return found(None, whole=False)
    lost = _lost(len(states), sources, targets, ended)
    if lost is not None:
        return found("no recorded work is lost: from here no end can be reached", (lost, None))
    return found(None)


def _lost(size: int, sources: array, targets: array, ended: list[int]) -> int | None:
    """Return the first state from which no end can be reached."""
    before: list[list[int]] = [[] for _ in range(size)]
    for source, target in zip(sources, targets, strict=True):
        before[target].append(source)
    reaching = bytearray(size)
    for number in ended:
        reaching[number] = 1
    latest = list(ended)
    while latest:
        for source in before[latest.pop()]:
            if not reaching[source]:
                reaching[source] = 1
                latest.append(source)
    lost = reaching.find(0)
    return lost if lost >= 0 else None


def _history(model: Model, states: list, parents: array, last: int, after: Any) -> tuple:
    """Walk the way again with the names that things have on it: canonical states rename them at each move."""
    way = [] if after is None else [after]
    while last > 0:
        way.append(states[last])
        last = parents[last]
    state = model.first()
    history = [(("submit",), state)]
    for goal in reversed(way):
        move = next(move for move in model.moves(state) if model.canonical(move.world) == goal)
        state = move.world
        history.append((move.what, state))
    return tuple(history)
