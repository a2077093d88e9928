from __future__ import annotations

import json
from pathlib import Path

from tributary_daemon.spec.json_schema import schema_text, workflow_json_schema

FILE = Path(__file__).parents[2] / "schemas" / "workflow.schema.json"


def test_the_file_is_current():
    assert FILE.read_text("utf-8") == schema_text()


def test_it_holds_what_is_supported_and_nothing_else():
    schema = workflow_json_schema()
    assert set(schema["properties"]) == {
        "name",
        "description",
        "labels",
        "inputs",
        "defaults",
        "steps",
        "result",
    }
    step = schema["$defs"]["step"]
    supported = (
        "task run with env needs retry max_attempts timeout queue priority run_after continue_on_error "
        "description labels want given"
    )
    assert set(step["properties"]) == set(supported.split())
    assert step["oneOf"] == [{"required": ["task"]}, {"required": ["run"]}, {"required": ["want"]}]
    assert json.loads(json.dumps(schema)) == schema
