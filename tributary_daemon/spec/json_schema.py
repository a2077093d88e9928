"""The JSON Schema of workflow files, for editors; made from the same table as the checks."""

from __future__ import annotations

import json
from typing import Any, Final

from tributary_daemon.spec.fields import ACTIONS, INPUT, STEP, WORKFLOW, mapping_schema, supported

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def workflow_json_schema() -> dict[str, Any]:
    """Return the schema of what this version supports; keys it does not support are unknown to it."""
    step = mapping_schema(STEP)
    step["oneOf"] = [{"required": [action]} for action in ACTIONS if action in supported(STEP)]
    return {
        "$schema": _DIALECT,
        "title": "Tributary workflow",
        **mapping_schema(WORKFLOW, required=("steps",)),
        "$defs": {"step": step, "input": mapping_schema(INPUT, required=("type",))},
    }


def schema_text() -> str:
    """Return the schema as the file ``schemas/workflow.schema.json`` holds it."""
    return json.dumps(workflow_json_schema(), indent=2, ensure_ascii=False) + "\n"
