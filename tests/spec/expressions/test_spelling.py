"""Trees, texts and values at random: what is written reads back, what is evaluated raises one error only."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.spec.expressions.spelling import spell
from tributary_daemon.spec.expressions import (
    CONTEXTS,
    ExpressionError,
    Status,
    check_types,
    compile_expression,
    trace,
    trace_lines,
)
from tributary_daemon.spec.expressions.functions import FUNCTIONS
from tributary_daemon.spec.expressions.parser import parse
from tributary_daemon.spec.expressions.syntax import (
    Calculation,
    Call,
    Chain,
    Compare,
    Index,
    Literal,
    Name,
    Not,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("aAbß"), inner, max_size=3),
    max_leaves=6,
)
CONSTANTS = (
    st.none() | st.booleans() | st.integers(-9, 2**52) | st.text(max_size=4) | st.sampled_from([0.5, 1e300])
)


def chains(operator):
    def build(nodes):
        # what the parser would write as one chain is one
        first = (
            nodes[0].operands if isinstance(nodes[0], Chain) and nodes[0].operator == operator else nodes[:1]
        )
        return Chain(operator, (*first, *nodes[1:]))

    return build


def larger(node):
    two = st.tuples(node, node)
    calls = st.sampled_from(list(FUNCTIONS.values())).flatmap(
        lambda function: st.tuples(*[node] * function.least).map(lambda nodes: Call(function, nodes))
    )
    return st.one_of(
        st.builds(Index, node, node | st.none() | st.sampled_from(["a", "b-1"]).map(Literal)),
        st.builds(Not, node),
        st.builds(Compare, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), node, node),
        st.builds(Calculation, st.sampled_from("+-*/%"), node, node),
        *(two.map(chains(operator)) for operator in ("&&", "||", "??")),
        calls,
    )


TREES = st.recursive(
    CONSTANTS.map(Literal) | st.sampled_from(sorted(CONTEXTS)).map(Name), larger, max_leaves=12
)
STATUS = st.builds(Status, st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_a_tree_reads_back_from_its_text(tree):
    assert parse(spell(tree), CONTEXTS) == tree


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.dictionaries(st.sampled_from(sorted(CONTEXTS)), VALUES), st.none() | STATUS)
def test_whatever_is_evaluated_ends_in_a_value_or_the_error_of_the_language(tree, contexts, status):
    expression = compile_expression(spell(tree))
    check_types(expression, {"inputs": {"type": "object", "properties": {"a": {"type": "integer"}}}})
    for strict in (False, True):
        try:
            value = expression.evaluate(contexts, strict_missing=strict, status=status)
        except ExpressionError:
            continue
        if not strict:
            found = trace(expression, contexts, status)
            assert found.to_json()
            assert trace_lines(found)
            again = compile_expression(spell(expression.tree)).evaluate(contexts, status=status)
            assert repr(again) == repr(value)
