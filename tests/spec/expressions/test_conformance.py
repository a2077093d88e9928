"""Every case of the shared conformance suite, read from beside the repository."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tributary_daemon.spec.expressions import ExpressionError, compile_expression, kind_of

PLACES = [folder / "shared" / "conformance" / "expressions" for folder in Path(__file__).resolve().parents]
SUITE = next((place for place in PLACES if place.is_dir()), PLACES[-1])
CASES = [
    pytest.param(case, id=f"{file.stem}-{group}-{number}")
    for file in sorted(SUITE.glob("*.json"))
    for group, cases in json.loads(file.read_text("utf-8")).items()
    for number, case in enumerate(cases)
]

pytestmark = pytest.mark.skipif(not CASES, reason="the conformance suite is not beside this checkout")


@pytest.mark.parametrize("case", CASES or [None])
def test_case(case):
    contexts = case.get("contexts", {})
    if "err" in case:
        with pytest.raises(ExpressionError) as caught:
            compile_expression(case["expr"], names=contexts).evaluate(contexts)
        assert caught.value.kind == case["err"]["kind"]
        assert caught.value.message.startswith(case["err"]["value"])
        return
    value = compile_expression(case["expr"], names=contexts).evaluate(contexts)
    assert kind_of(value) == case["result"]["kind"]
    expected = case["result"]["value"]
    assert value == expected or (isinstance(expected, float) and math.isnan(expected) and math.isnan(value))


def test_the_suite_is_whole():
    assert len(CASES) == 781
