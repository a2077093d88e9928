"""From given types to a wanted one: which handlers to call, and with what. Values in, values out.

`T` and ``list[T]`` are two types. ``list[T]`` is given, or returned by a handler, or made one by one: the
handler of `T` is called for each item of the one list that its ancestors start from. What does not depend on
an item is made once and shared.
"""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tributary_daemon.spec.graph import cycles, topological
from tributary_daemon.spec.makers import Maker, Parameter, element, list_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True, slots=True)
class Call:
    """One handler to call.

    Attributes:
        makes: ``T``, or ``list[T]`` when it is called once per item.
        maker: the handler.
        takes: parameter -> the type it is filled from; of an item's parameter the list.
        items: parameters that get one item each of the list in ``takes``.
        over: the list that is gone over; None for a single call.
    """

    makes: str
    maker: Maker
    takes: dict[str, str]
    items: frozenset[str] = frozenset()
    over: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no graph.

    Attributes:
        kind: ``missing``, ``ambiguous``, ``cycle`` or ``batch``.
        message: for people.
        hint: what to do.
    """

    kind: str
    message: str
    hint: str


@dataclass(slots=True)
class Inferred:
    """What was found.

    Attributes:
        calls: each after those it takes from; the wanted type is made by the last one.
        faults: if there are any, the calls mean nothing.
        unused: given types that nothing takes.
    """

    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def infer(wanted: str, given: Collection[str], makers: Iterable[Maker]) -> Inferred:
    """Return the calls that lead from the given types to the wanted one, and only those.

    Args:
        wanted: ``T`` or ``list[T]``.
        given: types whose values are at hand; nothing is called to make them.
        makers: the handlers there are.
    """
    if wanted in given:
        fault = Fault("missing", f"{wanted} is both wanted and given", "want what is to be made of it")
        return Inferred(faults=[fault])
    return _Search(wanted, given, makers).run()


class _Search:
    def __init__(self, wanted: str, given: Collection[str], makers: Iterable[Maker]) -> None:
        self._wanted = wanted
        self._given = frozenset(given)
        self._makers: dict[str, list[Maker]] = {}
        for maker in makers:
            self._makers.setdefault(maker.makes, []).append(maker)
        for name, found in self._makers.items():
            # what no worker has may be a name of the past; who takes what it makes does not begin anything
            served = [maker for maker in found if maker.served] or found
            fresh = [maker for maker in served if all(each.type != name for each in maker.parameters)]
            self._makers[name] = fresh or served
        self._asked: dict[str, list[str]] = {}
        self._calls: dict[str, Call] = {}
        self._faults: list[Fault] = []

    def run(self) -> Inferred:
        order = dict.fromkeys([self._wanted])
        waiting = deque(order)
        while waiting:
            name = waiting.popleft()
            call = None if name in self._given else self._call(name)
            if call is None:
                continue
            self._calls[name] = call
            for parameter, taken in call.takes.items():
                asker = call.maker.name if call.maker.whole else f"{call.maker.name} ({parameter})"
                self._asked.setdefault(taken, []).append(asker)
                if taken not in order:
                    order[taken] = None
                    waiting.append(taken)
        self._faults.extend(self._missing(name) for name in order if self._lacks(name))
        # each is needed by the wanted one in the end, so that comes last
        calls = list(self._calls.values())
        indexes = {call.makes: index for index, call in enumerate(calls)}
        needs = [
            sorted({indexes[taken] for taken in call.takes.values() if taken in indexes}) for call in calls
        ]
        ordered = topological(needs)
        for cycle in cycles(needs, ordered):
            self._faults.append(_cycle([calls[index] for index in cycle]))
        used = {taken for call in calls for taken in call.takes.values()}
        unused = sorted(name for name in self._given if name not in used)
        return Inferred([calls[index] for index in ordered], self._faults, unused)

    def _lacks(self, name: str) -> bool:
        if name in self._given or name in self._calls:
            return False
        inner = element(name)
        return not self._producers(name) and not (inner and self._producers(inner))

    def _producers(self, name: str) -> list[Maker]:
        return self._makers.get(name, [])

    def _call(self, name: str) -> Call | None:
        maker = self._only(name)
        if maker is not None:
            takes = {each.name: each.type for each in self._filled(maker, name) if each.type is not None}
            return Call(name, maker, takes)
        inner = element(name)
        if self._producers(name) or inner is None:
            return None
        maker = self._only(inner)
        return None if maker is None else self._one_by_one(name, maker)

    def _only(self, name: str) -> Maker | None:
        found = self._producers(name)
        if len(found) > 1:
            names = " and ".join(sorted(maker.name for maker in found))
            message = f"{len(found)} handlers make {name}: {names}"
            hint = f"call the right one in a step of its own, and give its result: given: {{{name}: …}}"
            self._faults.append(Fault("ambiguous", message, hint))
            return None
        return found[0] if found else None

    def _filled(self, maker: Maker, made: str) -> list[Parameter]:
        """Return the parameters that a call fills; those with a default only where that is possible."""
        filled = []
        for parameter in maker.parameters:
            if parameter.required:
                if parameter.type is None:
                    self._faults.append(_opaque(maker, parameter))
                else:
                    filled.append(parameter)
            elif parameter.type is not None and self._can_have(parameter.type, made):
                filled.append(parameter)
        return filled

    def _one_by_one(self, name: str, maker: Maker) -> Call | None:
        filled = self._filled(maker, name)
        found: dict[str, frozenset[str]] = {}
        lists: list[str] = []
        for loose in (False, True):
            _, starts = self._reach(loose=loose)
            found = {each.name: starts.get(each.type or "", frozenset()) for each in filled}
            lists = sorted({list_of(start) for some in found.values() for start in some})
            if lists:
                break
        if len(lists) != 1:
            self._faults.append(self._batch(name, maker, lists))
            return None
        items = frozenset(parameter for parameter, some in found.items() if some)
        takes = {
            each.name: list_of(each.type) if each.name in items else each.type
            for each in filled
            if each.type is not None
        }
        gone_over = [takes[each.name] for each in filled if each.name in items]
        return Call(name, maker, takes, items, lists[0] if lists[0] in gone_over else gone_over[0])

    def _can_have(self, name: str, made: str) -> bool:
        """Whether a parameter with a default can be filled: from what is given, without going round."""
        if name in self._given:
            return True
        inner = element(name)
        possible, starts = self._reach(loose=True)
        reachable = name in possible or (inner is not None and inner in starts)
        return reachable and not self._leads_to(name, {made, element(made) or made})

    def _leads_to(self, name: str, goals: set[str]) -> bool:
        seen = {name}
        waiting = [name]
        while waiting:
            at = waiting.pop()
            if at in goals:
                return True
            if at in self._given:
                continue
            inner = element(at)
            makers = self._producers(at) or (self._producers(inner) if inner else [])
            for maker in makers:
                for parameter in maker.parameters:
                    if parameter.type is not None and parameter.type not in seen:
                        seen.add(parameter.type)
                        waiting.append(parameter.type)
        return False

    @functools.cache  # noqa: B019 - a search lives for one call
    def _reach(self, *, loose: bool) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
        """Return what can be made.

        Args:
            loose: items may also come from a list that a handler makes of a type that can be had by itself.

        Returns:
            The types that single calls can make; and those that can differ from item to item -> the types
            whose lists they start from.
        """
        possible = set(self._given)
        starts: dict[str, frozenset[str]] = {}
        self._start({name for name in possible if element(name)}, starts)
        self._spread(possible, starts)
        while (
            fresh := {
                name
                for name in possible
                if (inner := element(name)) and inner not in starts and (loose or inner not in possible)
            }
            - self._given
        ):
            before = len(starts)
            self._start(fresh, starts)
            if len(starts) == before:
                break
            self._spread(possible, starts)
        return frozenset(possible), starts

    def _start(self, lists: Iterable[str], starts: dict[str, frozenset[str]]) -> None:
        for name in lists:
            inner = element(name)
            # a single value that is given is the same for all items
            if inner is not None and inner not in self._given:
                starts[inner] = frozenset({inner})

    def _spread(self, possible: set[str], starts: dict[str, frozenset[str]]) -> None:
        """Add what follows from what is possible, until nothing does."""
        changed = True
        while changed:
            changed = False
            for makers in self._makers.values():
                for maker in makers:
                    changed |= self._advance(maker, possible, starts)

    def _advance(self, maker: Maker, possible: set[str], starts: dict[str, frozenset[str]]) -> bool:
        """Note what one maker adds; return whether that is anything."""
        needed = [each.type for each in maker.parameters if each.required]
        shared = [name in possible or _listed(name, starts) for name in needed]
        if not all(had or name in starts for had, name in zip(shared, needed, strict=True)):
            return False
        made, changed = maker.makes, False
        if made not in possible and all(shared):
            possible.add(made)
            changed = True
        own = starts.get(made, frozenset())
        if made not in self._given and own != {made}:
            types = [each.type for each in maker.parameters if each.type is not None]
            found = own.union(*(starts.get(name, frozenset()) for name in types))
            if found != own:
                starts[made] = found
                changed = True
        return changed

    def _missing(self, name: str) -> Fault:
        askers = self._asked.get(name)
        asked = f", asked for by {' and '.join(dict.fromkeys(askers))}" if askers else ""
        inner = element(name)
        what = f"neither {name} nor {inner}" if inner else name
        beside = ""
        if list_of(name) in self._given:
            beside = f"; {list_of(name)} is given: want a list to have one made for each item"
        message = f"no handler makes {what}{asked}"
        return Fault("missing", message, f"give it (given: {{{name}: …}}), or import its handler{beside}")

    def _batch(self, name: str, maker: Maker, lists: list[str]) -> Fault:
        askers = self._asked.get(name)
        asked = f", asked for by {' and '.join(dict.fromkeys(askers))}" if askers else ""
        if lists:
            message = f"{name}{asked} could go over {' or '.join(lists)}: {maker.name} depends on both"
            return Fault("batch", message, "one list only: give the other type as a single value")
        wanted = " or ".join(list_of(each.type) for each in maker.parameters if each.type) or name
        message = f"{name}{asked} has no list to start from: {maker.name} makes one item at a time"
        return Fault("batch", message, f"give {name}, or a list of what its items are made of, e.g. {wanted}")


def _listed(name: str | None, starts: dict[str, frozenset[str]]) -> bool:
    inner = element(name) if name else None
    return inner is not None and inner in starts


def _opaque(maker: Maker, parameter: Parameter) -> Fault:
    message = f"no graph can fill {parameter.name} of {maker.name}: its type has no name"
    hint = "give the parameter a model, a dataclass, a NewType or a default, or call the handler by `task`"
    return Fault("missing", message, hint)


def _cycle(calls: list[Call]) -> Fault:
    path = " -> ".join([*(f"{call.makes} ({call.maker.name})" for call in calls), calls[0].makes])
    message = f"types are made of each other in a cycle: {path}"
    return Fault("cycle", message, "`A -> B` reads: A is made of B; give one of them")
