"""The hook ``validation``, around submits and attempts."""

from __future__ import annotations

import json
import sys

import pytest
from pydantic import BaseModel

from tributary_daemon import Abort
from tributary_daemon.errors import ConfigError, InvalidInput
from tributary_daemon.handlers.hooks import Work
from tributary_daemon.hooks.validation import Validation
from tributary_daemon.model import masking

CHARGE = {
    "type": "object",
    "properties": {"cents": {"type": "integer", "minimum": 1}, "to": {"type": "string"}},
    "required": ["cents"],
}


class Charge(BaseModel):
    cents: int
    to: str = ""


class _Step:
    name = "billing.charge.v1"


def submitted(hook, payload, **fields):
    hook.before_submit(Work(kind="intent", name="billing.charge.v1", payload=payload, **fields))


@pytest.fixture
def schema_file(tmp_path):
    path = tmp_path / "charge.json"
    path.write_text(json.dumps(CHARGE))
    return path


@pytest.mark.parametrize("kind", ["table", "file", "model", "name"])
def test_a_payload_is_held_to_it_when_it_is_submitted_and_when_it_is_worked(kind, schema_file):
    schema = {
        "table": CHARGE,
        "file": str(schema_file),
        "model": Charge,
        "name": "tests.hooks.test_validation:Charge",
    }[kind]
    hook = Validation(input=schema)
    submitted(hook, {"cents": 3})
    hook.before_work(_Step, {"cents": 3})
    with pytest.raises(InvalidInput, match=r"^billing.charge.v1 does not take this payload: payload.cents"):
        submitted(hook, {"cents": "much"})
    with pytest.raises(InvalidInput, match=r"^step 'pay': "):
        submitted(hook, {"cents": "much"}, step="pay")
    with pytest.raises(Abort, match=r"does not take this payload: payload"):
        hook.before_work(_Step, {})
    # it says nothing of results
    hook.after_work(_Step, {}, "anything", None)


def test_every_fault_is_told_by_its_path_up_to_ten():
    hook = Validation(input={"type": "array", "items": {"type": "integer"}})
    with pytest.raises(Abort) as refused:
        hook.before_work(_Step, ["a"] * 12)
    assert "payload[0]: 'a' is not of type 'integer'; payload[1]: " in refused.value.reason
    assert refused.value.reason.endswith("payload[9]: 'a' is not of type 'integer'; and more")


def test_a_result_is_held_to_its_own_and_an_error_stays_alone():
    hook = Validation(result={"type": "string"})
    hook.after_work(_Step, {}, "fine", None)
    hook.after_work(_Step, {}, None, ValueError("first"))
    with pytest.raises(InvalidInput, match=r"the result of billing.charge.v1 is refused: result: 7 is not"):
        hook.after_work(_Step, {}, 7, None)


def test_long_values_are_cut_and_secrets_masked():
    hook = Validation(input={"type": "integer"})
    with pytest.raises(Abort) as refused:
        hook.before_work(_Step, "x" * 1000)
    assert len(refused.value.reason) < 200
    mask = masking.BOUND.set(masking.Mask(["hunter22"]))
    try:
        with pytest.raises(Abort) as refused:
            hook.before_work(_Step, "my hunter22")
    finally:
        masking.BOUND.reset(mask)
    assert "hunter22" not in refused.value.reason


def test_a_reference_to_elsewhere_is_never_fetched():
    hook = Validation(input={"$ref": "https://example.org/schema.json"})
    with pytest.raises(ConfigError, match=r"refers to https://example.org/schema.json"):
        submitted(hook, {})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strange"}, "input is no JSON Schema"),
        ("nowhere/charge.json", "cannot read nowhere/charge.json: No such file"),
        ("charge", "charge is neither a schema nor a type"),
        ("tests.hooks.test_validation:Nothing", "there is no Nothing in tests.hooks.test_validation"),
        ("tests.hooks.test_validation:pytest", "is no type that pydantic reads"),
    ],
)
def test_what_is_no_schema_is_refused_at_once(schema, words):
    with pytest.raises(ConfigError, match=words):
        Validation(input=schema)


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    path = tmp_path / "list.json"
    path.write_text("[]")
    with pytest.raises(ConfigError, match="holds no JSON Schema"):
        Validation(input=str(path))


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError, match="need the package jsonschema") as refused:
        Validation(input={})
    assert "tributary-daemon[validation]" in refused.value.hint
    assert Validation(input=Charge)
