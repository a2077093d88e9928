"""What the steps of a workflow return, as far as their handlers say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tributary_daemon.spec.readings import StepShape
from tributary_daemon.spec.shapes import TEXT, Shape

if TYPE_CHECKING:
    from tributary_daemon.spec.signatures import Known, Signatures
    from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec


class StepShapes:
    """Shapes of results and items by step.

    Apart from who checks the nodes of a document: in a circle with whoever asks for shapes, these would leave
    a large document to the garbage collector.

    Args:
        spec: the workflow.
        signatures: of handlers.
    """

    def __init__(self, spec: WorkflowSpec, signatures: Signatures) -> None:
        self._steps = {step.id.lower(): step for step in spec.steps}
        self._signatures = signatures
        self._shapes: dict[str, StepShape] = {}
        self._known: dict[str, Known | None] = {}

    def handler(self, name: str) -> Known | None:
        """Return the handler of that name; None when nothing is known of it."""
        if name not in self._known:
            self._known[name] = self._signatures.get(name)
        return self._known[name]

    def shape(self, step_id: str) -> StepShape:
        """Return what is known of a step's result and items; ids compare without case."""
        key = step_id.lower()
        if key not in self._shapes:
            step = self._steps.get(key)
            self._shapes[key] = StepShape() if step is None else self._shape_of(step)
        return self._shapes[key]

    def _shape_of(self, step: StepSpec) -> StepShape:
        single = self._output(step.name) if step.action == "task" else {}
        if not step.fans_out:
            return StepShape(Shape.of(single))
        # the place of an item that ended badly holds null
        some: dict[str, Any] = {"anyOf": [single, {"type": "null"}]} if single else {}
        definitions = {"$defs": single["$defs"]} if "$defs" in single else {}
        each = {"type": "object", "properties": {"state": TEXT.schema, "item": {}, "result": some}}
        result: dict[str, Any] = {"type": "array", "items": some, **definitions}
        if step.aggregate is not None:
            result = self._output(str(step.aggregate.get("name", "")))
        return StepShape(Shape.of(result), Shape.of({"type": "array", "items": each, **definitions}))

    def _output(self, name: str) -> dict[str, Any]:
        known = self.handler(name)
        return known.output_schema if known is not None else {}
