# ruff: noqa: E501, FLY002 - texts stand on one line; a joined one is not in the source
"""Claims of docs/security.md that no other test shows: files and expressions reach no Python, shell is off."""

from __future__ import annotations

import pytest

from tributary_daemon.daemon.offers import offered
from tributary_daemon.engine.failures import record
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.expressions import ExpressionError, compile_expression
from tributary_daemon.spec.loader import load_text

CONTEXTS = {"inputs": {"a": "x", "list": [1]}, "run": {}, "steps": {}, "env": {}, "secrets": {}}


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['id']",
        "steps: {a: {task: !!python/object/new:os.system ['id']}}",
        "steps: {a: {task: t.a.v1, with: {x: !!python/name:os.system ''}}}",
        "steps: {a: {task: t.a.v1, with: {x: !!python/tuple [1]}}}",
        "steps: {a: {task: t.a.v1, with: {x: !local 1}}}",
    ],
)
def test_a_tag_of_yaml_makes_no_object(text):
    with pytest.raises(InvalidWorkflow, match="TRB112"):
        load_text(text, file="a.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "inputs.__class__",
        "inputs.a.__class__.__mro__",
        "inputs['__class__']",
        "inputs.list.append",
        "inputs.a.format",
    ],
)
def test_attributes_of_python_do_not_exist(text):
    assert compile_expression(text).evaluate(CONTEXTS) is None


@pytest.mark.parametrize(
    "text",
    [
        "format('{0.__class__}', inputs)", "format('{0[a]}', inputs)", "format('{0!r}', inputs)", "format.__globals__",
        "inputs.a.format('x')", "__import__('os')", "open('/etc/passwd')", "eval('1')", "getattr(inputs, 'a')",
        "(lambda: 1)()", "[x for x in inputs]", "inputs.a; 1",
    ],
)  # fmt: skip
def test_functions_of_python_cannot_be_called(text):
    with pytest.raises(ExpressionError):
        compile_expression(text).evaluate(CONTEXTS)


def test_shell_is_off_unless_the_operator_allows_it():
    assert "trib.shell.v1" not in offered(()).registry
    assert "trib.shell.v1" in offered((), enable_shell=True).registry


def test_what_variables_held_is_not_stored_with_an_error(a_lease):
    """Neither of the handler nor of what it calls; the lines of the source are, as they are written."""

    def charge(card):
        raise ValueError("declined")

    try:
        charge("-".join(["4111", "1111"]))
    except ValueError as error:
        stored = str(record(error, a_lease()).to_json())
    assert "in charge" in stored
    assert "4111-1111" not in stored
