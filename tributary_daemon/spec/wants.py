"""Steps that say ``want``: each becomes the steps of an inferred graph, before anything else is checked.

What comes out is written like steps of a file, at the place of the ``want``, so that needs, references and
cycles are checked as everywhere. The last one carries the id of the step that wanted it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.inference import Call, Inferred, infer
from tributary_daemon.spec.kinds import refuse_expression, refuse_type
from tributary_daemon.spec.makers import element, maker_of, resolve_type, types_of
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar

if TYPE_CHECKING:
    from collections.abc import Sequence as AnySequence

    from tributary_daemon.spec.problems import Problems
    from tributary_daemon.spec.signatures import Known, Signatures

EXAMPLE: Final = "{want: shop.EnrichedUser, given: {shop.UserID: {id: u_1}}}"

_ACTIONS: Final = ("task", "run", "workflow", "wait", "approve")
_EVERY: Final = (
    "if", "queue", "priority", "max_attempts", "timeout", "retry", "continue_on_error", "labels", "cache",
)  # fmt: skip
_FIRST: Final = ("needs", "run_after")
_ITEMS: Final = ("max_parallel", "fail_fast", "tolerate")
_LAST: Final = ("description",)
_ALLOWED: Final = ("want", "given", *_EVERY, *_FIRST, *_ITEMS, *_LAST)
_CODES: Final = {
    "missing": codes.MISSING_TYPE,
    "ambiguous": codes.SEVERAL_MAKERS,
    "cycle": codes.TYPE_CYCLE,
    "batch": codes.UNCLEAR_LIST,
}
_VERSION = re.compile(r"\.v\d+$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^A-Za-z0-9_]+")
_LONGEST_ID: Final = 100


def expand_wants(
    root: Mapping, sections: AnySequence[str], signatures: Signatures | None, problems: Problems
) -> tuple[Mapping, tuple[str, ...]]:
    """Return a document with every ``want`` replaced, and the ids of those; one with a fault stays as it is.

    Args:
        root: the document; it is not changed.
        sections: its keys that hold steps.
        signatures: the handlers there are; None when nobody knows.
        problems: the collector.
    """
    written = {name: node for name in sections if isinstance(node := root.get(name), Mapping)}
    if not any(map(_wants, (pair for node in written.values() for pair in node.pairs.values()))):
        return root, ()
    taken = {step_id for node in written.values() for step_id in node.pairs}
    expanded: list[str] = []
    copy = Mapping(root.start, root.end, flow=root.flow)
    copy.pairs = dict(root.pairs)
    for name, steps in written.items():
        found = Mapping(steps.start, steps.end, flow=steps.flow)
        for step_id, (key, node) in steps.pairs.items():
            graph = None
            if _wants((key, node)) and isinstance(node, Mapping):
                graph = _Want(step_id, key, node, problems).expand(signatures, taken)
            if graph is None:
                found.pairs[step_id] = (key, node)
            else:
                found.pairs.update(graph)
                expanded.append(step_id)
        copy.pairs[name] = (root.pairs[name][0], found)
    return copy, tuple(expanded)


def _wants(pair: tuple[Scalar, Node]) -> bool:
    node = pair[1]
    # with a second action the step is refused as it stands
    return (
        isinstance(node, Mapping)
        and "want" in node.pairs
        and not any(word in node.pairs for word in _ACTIONS)
    )


class _Want:
    """One such step."""

    def __init__(self, step_id: str, key: Scalar, node: Mapping, problems: Problems) -> None:
        self._id = step_id
        self._key = key
        self._node = node
        self._problems = problems
        self._want: Scalar | None = None
        self._given: dict[str, tuple[Scalar, Node]] = {}

    def expand(self, signatures: Signatures | None, taken: set[str]) -> dict[str, tuple[Scalar, Node]] | None:
        """Return the steps, in order; None when there is a fault, which is reported."""
        if not self._read():
            return None
        assert self._want is not None
        if signatures is None:
            message = f"step {self._id!r} wants {self._want.value}, and no handlers are known here"
            self._problems.error(codes.UNKNOWN_TYPE, message, self._want, hint=_IMPORT)
            return None
        known: AnySequence[Known] = ()
        for known in signatures.levels():
            resolved = _Resolved(self._want, self._given, known)
            if not resolved.unknown and not resolved.inferred.faults:
                sound = self._takes_gaps(resolved.inferred.calls)
                return self._written(resolved, taken) if sound else None
        # the last level knows most, so its faults are the ones to mend
        _Resolved(self._want, self._given, known).report(self._problems)
        return None

    def _read(self) -> bool:
        want, given = self._node.get("want"), self._node.get("given")
        sound = True
        for name, (key, _) in self._node.pairs.items():
            if name not in _ALLOWED and not name.startswith("x-"):
                message = f"`{name}` does not go with `want`"
                hint = f"allowed beside it: {', '.join(_ALLOWED[1:])}"
                self._problems.error(codes.KEY_OUT_OF_PLACE, message, key, hint=hint)
                sound = False
        sound = self._agrees() and sound
        if not isinstance(want, Scalar) or not isinstance(want.value, str):
            refuse_type(want or self._node, "want", "the name of a type", self._problems, hint=EXAMPLE)
            return False
        if refuse_expression(want, "want", self._problems):
            return False
        self._want = want
        if isinstance(given, Mapping):
            self._given = given.pairs
        elif given is not None:
            refuse_type(given, "given", "a mapping of types", self._problems, hint=EXAMPLE)
            return False
        return sound

    def _agrees(self) -> bool:
        """Return whether what stands beside the want means something for all steps that it becomes."""
        cache, sound = self._node.get("cache"), True
        if isinstance(cache, Mapping) and "key" in cache.pairs:
            key, _ = cache.pairs["key"]
            hint = "leave it out: each step and each item is told apart by its own input"
            self._problems.error(
                codes.KEY_OUT_OF_PLACE, "`cache.key` does not go with `want`", key, hint=hint
            )
            sound = False
        if "tolerate" in self._node.pairs and "if" in self._node.pairs:
            key, _ = self._node.pairs["if"]
            message = "`if` does not go with `want` and `tolerate`: what is missing decides there"
            hint = "ask in a step before, and let the lists in `given` hold what passes"
            self._problems.error(codes.KEY_OUT_OF_PLACE, message, key, hint=hint)
            sound = False
        return sound

    def _takes_gaps(self, calls: AnySequence[Call]) -> bool:
        """Return whether who takes a whole list in which items may be missing says that it knows."""
        pair = self._node.pairs.get("tolerate")
        if pair is None:
            return True
        sound = True
        fans = {call.makes for call in calls if call.over}
        for call in calls:
            for each in call.maker.parameters:
                taken = call.takes.get(each.name)
                if taken in fans and each.name not in call.items and not each.gaps:
                    what = f"{taken}, of which items may fail"
                    message = f"{call.maker.name} ({each.name}) takes {what}, and none that is missing"
                    word = (element(taken) or taken).rpartition(".")[2]
                    hint = f"declare {each.name} as list[{word} | None]"
                    self._problems.error(codes.BAD_FAN_OUT, message, pair[0], hint=hint)
                    sound = False
        return sound

    def _written(self, resolved: _Resolved, taken: set[str]) -> dict[str, tuple[Scalar, Node]]:
        assert self._want is not None
        for name in resolved.inferred.unused:
            key, _ = resolved.given[name]
            message = f"nothing on the way to {self._want.value} takes {name}"
            self._problems.warning(codes.UNKNOWN_TYPE, message, key, hint="leave it out of `given`")
        calls = resolved.inferred.calls
        ids = {calls[-1].makes: self._id}
        for call in calls[:-1]:
            ids[call.makes] = self._fresh(call, taken)
        values = {name: value for name, (_, value) in resolved.given.items()}
        steps: dict[str, tuple[Scalar, Node]] = {}
        for call in calls:
            step_id = ids[call.makes]
            key = self._key if step_id == self._id else self._text(step_id)
            steps[step_id] = (key, self._step(call, ids, values, last=step_id == self._id))
        return steps

    def _fresh(self, call: Call, taken: set[str]) -> str:
        action = _VERSION.sub("", call.maker.name).rpartition(".")[2]
        stem = f"{self._id}_{snake(action)}"[: _LONGEST_ID - len("_each_99")]
        stem = f"{stem}_each" if call.over and stem in taken else stem
        number, step_id = 1, stem
        while step_id in taken:
            number += 1
            step_id = f"{stem}_{number}"
        taken.add(step_id)
        return step_id

    def _step(self, call: Call, ids: dict[str, str], values: dict[str, Node], *, last: bool) -> Mapping:
        step = Mapping(self._node.start, self._node.end)

        def put(name: str, value: Node) -> None:
            step.pairs[name] = (self._text(name), value)

        def taken_from(name: str) -> Node:
            return values[name] if name in values else self._text(f"${{{{ steps.{ids[name]}.result }}}}")

        put("task", self._text(call.maker.name))
        arguments = {name: taken_from(taken) for name, taken in call.takes.items() if name not in call.items}
        made: list[str] = []
        for name in sorted(call.items):
            taken = call.takes[name]
            source = "item" if taken == call.over else f"steps.{ids[taken]}.result[index]"
            arguments[name] = self._text(f"${{{{ {source} }}}}")
            made += [source] if taken in ids else []
        if call.over is not None:
            put("for_each", taken_from(call.over))
        if made and "tolerate" in self._node.pairs:
            # what has failed has no result, so nothing is made of it; 0 and '' equal null, and are results
            put("if", self._text(" && ".join(f"!same({source}, null)" for source in made)))
        if arguments:
            ordered = [each.name for each in call.maker.parameters if each.name in arguments]
            if call.maker.whole:
                put("with", arguments[ordered[0]])
            else:
                payload = Mapping(self._node.start, self._node.end)
                payload.pairs = {name: (self._text(name), arguments[name]) for name in ordered}
                put("with", payload)
        copied = [*_EVERY, *(_LAST if last else ()), *(_ITEMS if call.over else ())]
        if not any(taken in ids for taken in call.takes.values()):
            copied.extend(_FIRST)
        step.pairs.update({name: pair for name, pair in self._node.pairs.items() if name in copied})
        return step

    def _text(self, value: str) -> Scalar:
        assert self._want is not None
        return Scalar(value, self._want.start, self._want.end)


class _Resolved:
    """A want with its names read against what is known: the graph, or what is unknown."""

    def __init__(
        self, want: Scalar, given: dict[str, tuple[Scalar, Node]], known: AnySequence[Known]
    ) -> None:
        self._want = want
        self._names = sorted({name for handler in known for name in types_of(handler)})
        self.given: dict[str, tuple[Scalar, Node]] = {}
        self.unknown: list[tuple[Scalar, list[str]]] = []
        wanted = self._resolve(want)
        for key, value in given.values():
            if (name := self._resolve(key)) is not None:
                self.given[name] = (key, value)
        makers = [maker for handler in known if (maker := maker_of(handler)) is not None]
        self.inferred = Inferred() if wanted is None else infer(wanted, self.given, makers)

    def _resolve(self, node: Scalar) -> str | None:
        found = resolve_type(str(node.value), self._names)
        if len(found) != 1:
            self.unknown.append((node, found))
            return None
        return found[0]

    def report(self, problems: Problems) -> None:
        """Say what is wrong."""
        for node, found in self.unknown:
            if found:
                message = f"{node.value} may mean {' or '.join(found)}"
                problems.error(codes.UNKNOWN_TYPE, message, node, hint="write the whole name")
                continue
            word = element(str(node.value)) or str(node.value)
            problems.error(
                codes.UNKNOWN_TYPE,
                f"no handler takes or makes a type {word}",
                node,
                hint=functools.partial(_guess, word, self._names),
            )
        if not self.unknown:
            for fault in self.inferred.faults:
                problems.error(_CODES[fault.kind], fault.message, self._want, hint=fault.hint)


_BUILT_IN: Final = "tributary_daemon."
_IMPORT: Final = "import the module of the handlers: --import MODULE, or TRIB_HANDLERS"


def _guess(word: str, names: list[str]) -> str:
    # nobody means the types of built-in handlers
    names = [name for name in names if not name.startswith(_BUILT_IN)]
    if not names:
        return _IMPORT
    short = {name.rpartition(".")[2]: name for name in names}
    meant = suggest(word.rpartition(".")[2], short, what="known types", shown=names[:12])
    return f"{meant}; or {_IMPORT}"


def snake(word: str) -> str:
    """Return ``enriched_user`` for ``EnrichedUser`` and ``fetch-user``."""
    return _NO_WORD.sub("_", _HUMP.sub("_", word)).strip("_").lower()
