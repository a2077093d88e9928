"""What is wrong with a condition whatever the values are: it compares what is never equal, and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED
from tributary_daemon.spec.expressions import ExpressionError, Finding, check_types, compile_expression
from tributary_daemon.spec.shapes import Shape, of_input

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.spec.step_shapes import StepShapes
    from tributary_daemon.spec.workflow import InputSpec

# whatever a condition reads has ended
_STEP_STATE: Final = {"enum": sorted(STEP_ENDED)}
_RUN_STATE: Final = {"enum": sorted(RUN_ENDED)}
_COUNT: Final = {"type": "integer"}


class ConditionTypes:
    """Checks conditions of one workflow.

    Args:
        inputs: as declared.
        shapes: of its steps' results.
    """

    def __init__(self, inputs: Mapping[str, InputSpec], shapes: StepShapes) -> None:
        properties = {name: of_input(spec) for name, spec in inputs.items()}
        self._inputs = {"type": "object", "properties": properties, "additionalProperties": True}
        self._shapes = shapes

    def check(self, condition: str, item: Shape | None = None) -> list[Finding]:
        """Return what is wrong with a condition, by position; nothing where it cannot be read.

        Args:
            condition: without its braces.
            item: of a fan-out whose items it decides about.
        """
        try:
            expression = compile_expression(condition)
        except ExpressionError:
            # reported with its place by those who check the grammar
            return []
        schemas: dict[str, Any] = {"inputs": self._inputs, "run.state": _RUN_STATE, "index": _COUNT}
        if item is not None:
            schemas["item"] = _document(item)
        for path in expression.paths:
            if path.root == "steps" and path.parts and isinstance(step := path.parts[0], str):
                shape = self._shapes.shape(step)
                schemas[f"steps.{step}.state"] = _STEP_STATE
                schemas[f"steps.{step}.attempt"] = _COUNT
                schemas[f"steps.{step}.result"] = _or_null(shape.result)
                schemas[f"steps.{step}.items"] = _document(shape.items)
        return check_types(expression, schemas, strict_missing=False)


def _document(shape: Shape) -> Any:
    """Return a schema that stands on its own."""
    if not isinstance(shape.schema, dict) or shape.schema is shape.root or "$defs" not in (shape.root or {}):
        return shape.schema
    return {**shape.schema, "$defs": shape.root["$defs"]}


def _or_null(shape: Shape) -> Any:
    """Return the schema of a result, which is null where the step was skipped or its failure tolerated."""
    schema = _document(shape)
    if not isinstance(schema, dict) or not schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$defs"}
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {"anyOf": [rest, {"type": "null"}], **definitions}
