from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from tributary_daemon.spec.composer import compose
from tributary_daemon.spec.fields import INPUT, STEP, WORKFLOW
from tributary_daemon.spec.foreign import HOMES
from tributary_daemon.spec.json_schema import schema_text, workflow_json_schema
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.nodes import to_json
from tributary_daemon.spec.problems import Problems

ROOT = Path(__file__).parents[2]
FILE = ROOT / "schemas" / "workflow.schema.json"
HERE = Path(__file__).parent
CASES = set((ROOT / "workflows").glob("*.test.yaml"))
GOOD = sorted([*set((ROOT / "workflows").glob("*.yaml")) - CASES, *(HERE / "good").rglob("*.yaml")])
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
# what is wrong in these no schema can say: names that do not match, YAML itself, other files
UNSEEN = {
    "aliases",
    "child_files",
    "comma",
    "cycle",
    "duplicates",
    "empty",
    "expressions",
    "file_cycle",
    "items",
    "lost_condition",
    "lost_text",
    "negated_condition",
    "not_json",
    "own_cycle",
    "precondition_messages",
    "quoted_condition",
    "same_names",
    "status_functions",
    "tabs",
    "tags",
    "unquoted",
    "zones",
}


@pytest.fixture(scope="module")
def validator():
    schema = workflow_json_schema()
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def documents(path):
    """Return the documents of a file as the loader reads them; what it cannot read is left out."""
    text = path.read_text("utf-8")
    return [to_json(document.root) for document in compose(text, Problems(path.name, text))]


def test_the_file_is_current():
    assert FILE.read_text("utf-8") == schema_text()


def test_it_holds_every_key():
    schema = workflow_json_schema()
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert set(schema["properties"]) == set(WORKFLOW)
    assert set(schema["definitions"]["step"]["properties"]) == set(STEP)
    assert set(schema["definitions"]["input"]["properties"]) == set(INPUT)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_it_accepts_good_files(validator, path):
    for document in documents(path):
        assert [error.message for error in validator.iter_errors(document)] == []


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_it_refuses_broken_files_where_a_schema_can(validator, path):
    refused = any(not validator.is_valid(document) for document in documents(path))
    assert refused is (path.stem not in UNSEEN)


def properties(schema):
    """Yield every named property below a schema."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            named = part.get("properties")
            if isinstance(named, dict):
                yield from named.items()
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def test_every_property_has_a_sentence_and_examples():
    found = list(properties(workflow_json_schema()))
    assert len(found) > 90
    silent = [name for name, part in found if not part.get("description") or not part.get("examples")]
    # include and exclude stand for any axis beside them
    assert set(silent) <= {"include", "exclude"}


def test_examples_are_what_they_show(validator):
    schema = workflow_json_schema()
    for name, part in properties(schema):
        for example in part.get("examples", ()):
            whole = {**part, "definitions": schema["definitions"]}
            assert Draft7Validator(whole).is_valid(example), (name, example)


@pytest.mark.parametrize("key", [key for key in STEP if key not in ("task", "run", "want", "given")])
def test_the_loader_takes_the_examples_of_a_step(key):
    for example in STEP[key].examples:
        step = {key: example}
        if key in ("key", "max_parallel", "fail_fast", "tolerate", "aggregate"):
            step["for_each"] = [1]
        if key in ("env", "dir", "shell"):
            step["run"] = "x"
        elif key not in ("workflow", "wait", "approve"):
            step["task"] = "t.v1"
        if isinstance(example, str) and example.startswith("./"):
            continue
        others = {name: {"run": "x"} for name in ("extract", "check", "count", "plan", "order")}
        document = {
            "inputs": {
                name: {"type": "string"} for name in ("email", "day", "env", "id", "order_id", "start")
            },
            "steps": {**others, "load": step},
        }
        assert load_text(json.dumps(document)).step("load")


def test_words_of_one_place_are_told_apart():
    only_step, only_workflow = set(STEP) - set(WORKFLOW), set(WORKFLOW) - set(STEP)
    assert {key for key, home in HOMES.items() if home == "a step"} == only_step
    assert {key for key, home in HOMES.items() if home == "a workflow"} == only_workflow


def test_the_loader_reads_what_yaml_reads():
    # the schema is used by editors with their own YAML: for good files both see the same
    for path in GOOD:
        if "---" not in path.read_text("utf-8") and "2026" not in path.read_text("utf-8"):
            assert documents(path) == [yaml.safe_load(path.read_text("utf-8"))]
