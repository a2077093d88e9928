"""The JSON Schema of workflow files, for editors; made from the same table as the checks."""

from __future__ import annotations

import json
from typing import Any, Final

from tributary_daemon.spec.fields import ACTIONS, INPUT, STEP, WORKFLOW
from tributary_daemon.spec.mappings import mapping_schema

# what editors' language servers read best
_DIALECT: Final = "http://json-schema.org/draft-07/schema#"


def workflow_json_schema() -> dict[str, Any]:
    """Return the schema of a workflow file, of draft 7; every key has a description and examples."""
    step = mapping_schema(STEP)
    step["oneOf"] = [{"required": [action]} for action in ACTIONS]
    return {
        "$schema": _DIALECT,
        "title": "Tributary workflow",
        **mapping_schema(WORKFLOW, required=("steps",)),
        "definitions": {"step": step, "input": mapping_schema(INPUT, required=("type",))},
    }


def schema_text() -> str:
    """Return the schema as the file ``schemas/workflow.schema.json`` holds it."""
    return json.dumps(workflow_json_schema(), indent=2, ensure_ascii=False) + "\n"
