"""Steps against handlers: `with` against what these take, references against what they return."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.condition_types import ConditionTypes
from tributary_daemon.spec.expressions import ExpressionError, split
from tributary_daemon.spec.fitting import Misfit, misfits, mismatch
from tributary_daemon.spec.nearest import nearest, suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, to_json
from tributary_daemon.spec.readings import Lost, Readings
from tributary_daemon.spec.shapes import (
    ANYTHING,
    EACH,
    TEXT,
    Gap,
    Shape,
    follow,
    kind_of,
    of_input,
    variants,
    words,
)
from tributary_daemon.spec.step_shapes import StepShapes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from collections.abc import Mapping as AnyMapping

    from tributary_daemon.handlers.signature import Fault
    from tributary_daemon.spec.expressions.template import Piece
    from tributary_daemon.spec.problems import Problems
    from tributary_daemon.spec.signatures import Known, Signatures
    from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

# where a path that is missing fails a step; `if` takes it for null
_CALLS: Final = ("aggregate", "undo")
_LISTS: Final = ("for_each", "matrix")
_READING: Final = frozenset({"with", "env", "key", "cache", "concurrency", *_LISTS, *_CALLS})


def check_signatures(
    spec: WorkflowSpec,
    nodes: AnyMapping[str, Node],
    result: Node | None,
    signatures: Signatures,
    problems: Problems,
    *,
    elsewhere: Collection[str] = (),
) -> None:
    """Report what does not go with the signatures of handlers.

    Args:
        spec: the workflow, right in all else.
        nodes: id -> the mapping of that step, hooks included.
        result: the node of the workflow's ``result``.
        signatures: of handlers; of those it lacks nothing is known, and nothing is said.
        problems: the collector.
        elsewhere: ids of steps whose payload does not stand in their mapping.
    """
    _Checker(spec, nodes, signatures, problems, elsewhere).run(result)


class _Checker:
    def __init__(
        self,
        spec: WorkflowSpec,
        nodes: AnyMapping[str, Node],
        signatures: Signatures,
        problems: Problems,
        elsewhere: Collection[str],
    ) -> None:
        self._elsewhere = elsewhere
        self._spec = spec
        self._steps = {step.id.lower(): step for step in spec.steps}
        self._nodes = nodes
        self._signatures = signatures
        self._problems = problems
        self._inputs = {name.lower(): Shape.of(of_input(each)) for name, each in spec.inputs.items()}
        self._shapes = StepShapes(spec, signatures)
        self._judged: dict[tuple[int, int, int, int], tuple[Shape, Shape, str | None]] = {}
        self._plain = Readings(self._inputs, self._shapes.shape)
        self._conditions = ConditionTypes(spec.inputs, self._shapes)

    def run(self, result: Node | None) -> None:
        for step in self._spec.steps:
            node = self._nodes.get(step.id)
            if isinstance(node, Mapping):
                self._check_step(step, node)
        if result is not None:
            self._check_paths(result, self._plain)

    def _check_step(self, step: StepSpec, node: Mapping) -> None:
        readings = self._readings(step, node)
        if step.condition is not None and isinstance(at := node.get("if"), Scalar):
            for finding in self._conditions.check(step.condition, readings.item):
                place = self._problems.locate(at, step.condition[finding.position :])
                self._problems.warning(codes.SENSELESS, finding.message, place, hint=finding.hint)
        for name, (_, value) in node.pairs.items():
            if name in _READING:
                self._check_paths(value, self._plain if name in _LISTS else readings)
        # a payload built in Python may be kept beside the document
        kept = step.id in self._elsewhere or (step.with_ and "with" not in node.pairs)
        if step.action == "task" and not kept:
            self._check_call(step.name, node, _as_read(node.get("with"), step.with_), readings)
        for call in (step.aggregate and node.get("aggregate"), step.undo and node.get("undo")):
            if isinstance(call, Mapping) and isinstance(task := call.get("task"), Scalar):
                self._check_call(str(task.value), call, call.get("with"), readings)

    def _readings(self, step: StepSpec, node: Mapping) -> Readings:
        if not step.fans_out:
            return self._plain
        item = ANYTHING
        source = _as_read(node.get("for_each"), step.for_each)
        if isinstance(source, Scalar):
            found = self._read(source, self._plain)
            kinds = {kind_of(variant) for variant in variants(found)}
            if None not in kinds and "array" not in kinds:
                message = f"`for_each` must be a list, but the expression gives {words(found)}"
                self._problems.error(codes.WRONG_VALUE, message, source)
            elif not isinstance(each := follow(found, EACH), Gap):
                item = each
        return Readings(self._inputs, self._shapes.shape, item)

    def _check_call(self, name: str, node: Mapping, payload: Node | None, readings: Readings) -> None:
        known = self._shapes.handler(name)
        task = node.get("task")
        if known is None:
            if self._signatures.complete and name and task is not None:
                hint = functools.partial(_where, name, self._signatures.names())
                self._problems.warning(
                    codes.UNKNOWN_HANDLER, f"no handler {name!r} is known", task, hint=hint
                )
            return
        if payload is None:
            # a mapping at the place of the name, as nothing is written
            payload = Mapping(task.start, task.end) if task is not None else Mapping("")
        for misfit in self._misfits(known, payload, readings):
            message = f"{misfit.message} ({known.name})"
            self._problems.error(misfit.code, message, misfit.at, hint=misfit.hint)

    def _misfits(self, known: Known, payload: Node, readings: Readings) -> Iterator[Misfit]:
        texts = any(True for _ in _dynamic(payload))
        faults: list[Fault] = []
        # the handler's own types know best what they take; what is not yet known stands as null there
        if known.faults is not None and not texts:
            faults = known.faults(json.dumps(to_json(payload)))
            if not faults:
                return
        judge = functools.partial(self._judge, readings=readings)
        found = list(misfits(payload, Shape.of(known.input_schema), "with", judge))
        if known.faults is not None and texts and any(each.path for each in found):
            confirmed = _paths(known.faults(json.dumps(_without(payload))))
            found = [each for each in found if not each.path or _near(each.path, confirmed)]
        yield from found
        if faults and not found:
            for fault in faults:
                yield Misfit(codes.WRONG_VALUE, f"`{_path(fault)}`: {fault.message}", _at(payload, fault))

    def _read(self, node: Scalar, readings: Readings) -> Shape:
        pieces = _pieces(node.value)
        if len(pieces) == 1 and pieces[0].is_expression:
            return readings.type_of(pieces[0].text)
        return TEXT

    def _judge(self, node: Scalar, wanted: Shape, readings: Readings) -> str | None:
        found = self._read(node, readings)
        # many steps are alike; what is judged is kept, so that no other object gets its id meanwhile
        key = (id(found.schema), id(found.root), id(wanted.schema), id(wanted.root))
        if key not in self._judged:
            self._judged[key] = (found, wanted, mismatch(found, wanted))
        return self._judged[key][2]

    def _check_paths(self, root: Node, readings: Readings) -> None:
        for node in _dynamic(root):
            for piece in _pieces(node.value):
                if piece.is_expression:
                    for lost in readings.lost(piece.text):
                        self._report_lost(lost, node, piece.text)

    def _report_lost(self, lost: Lost, node: Scalar, source: str) -> None:
        gap = lost.gap
        step = self._steps.get(lost.step.lower()) if lost.step else None
        whose = f" ({step.name} does not return it)" if step is not None and gap.known else ""
        if gap.known:
            message = f"`{lost.written}` has no {gap.part!r}{whose}"
            hint: Any = functools.partial(suggest, gap.part, gap.known, what="it has")
        else:
            message = f"`{lost.written}` is {gap.what}, it has no {gap.part!r}"
            hint = None
            if step is not None and step.fans_out and gap.at == ():
                hint = f"it is one result per item: steps.{step.id}.items.*.result.{gap.part}"
        place = self._problems.locate(node, f"${{{{{source}}}}}")
        self._problems.error(codes.NO_SUCH_FIELD, message, place, hint=hint)


def _as_read(node: Node | None, value: Any) -> Node | None:
    """Return a text as it was read: without the blanks around its only expression."""
    if isinstance(node, Scalar) and isinstance(value, str):
        return Scalar(value, node.start, node.end, plain=node.plain)
    return node


@functools.lru_cache(maxsize=2048)
def _pieces(text: str) -> list[Piece]:
    try:
        return split(text)
    except ExpressionError:
        # reported with its place by those who check the grammar
        return []


def _dynamic(root: Node) -> Iterator[Scalar]:
    """Yield the texts below a node that hold expressions, in order."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            waiting.extend(value for _, value in reversed(node.pairs.values()))
        elif isinstance(node, Sequence):
            waiting.extend(reversed(node.items))
        elif isinstance(node.value, str) and "${{" in node.value:
            yield node


def _without(node: Node) -> Any:
    """Return the JSON value of a node with null for every text that holds expressions."""
    match node:
        case Mapping():
            return {key: _without(value) for key, (_, value) in node.pairs.items()}
        case Sequence():
            return [_without(item) for item in node.items]
    return None if isinstance(node.value, str) and "${{" in node.value else node.value


def _path(fault: Fault) -> str:
    return "with" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault.path)


def _paths(faults: list[Fault]) -> list[str]:
    return [_path(fault) for fault in faults]


def _near(path: str, confirmed: list[str]) -> bool:
    return any(path.startswith(each) or each.startswith(path) for each in confirmed)


def _at(node: Node, fault: Fault) -> Node:
    """Return the node that a fault is about, or the nearest one above it."""
    for part in fault.path:
        below: Node | None = None
        if isinstance(node, Mapping):
            below = node.get(str(part))
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            below = node.items[part]
        if below is None:
            break
        node = below
    return node


def _where(name: str, known: Collection[str]) -> str:
    guess = suggest(name, known, what="known handlers")
    return guess if nearest(name, known) else f"name its module (--import, TRIB_HANDLERS); {guess}"
