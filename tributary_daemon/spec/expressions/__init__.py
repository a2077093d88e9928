"""The expression language inside ``${{ }}``: pure, without loops, bounded in depth, size and work."""

from __future__ import annotations

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.explanation import trace_lines
from tributary_daemon.spec.expressions.functions import FUNCTIONS, STATUS_FUNCTIONS
from tributary_daemon.spec.expressions.scope import Status
from tributary_daemon.spec.expressions.syntax import Path
from tributary_daemon.spec.expressions.template import (
    CONTEXTS,
    Expression,
    compile_condition,
    compile_expression,
    is_dynamic,
    resolve,
    split,
)
from tributary_daemon.spec.expressions.traces import Trace, trace
from tributary_daemon.spec.expressions.type_check import Finding, check_types
from tributary_daemon.spec.expressions.values import kind_of, truthy

__all__ = [
    "CONTEXTS",
    "FUNCTIONS",
    "STATUS_FUNCTIONS",
    "Expression",
    "ExpressionError",
    "Finding",
    "Path",
    "Status",
    "Trace",
    "check_types",
    "compile_condition",
    "compile_expression",
    "is_dynamic",
    "kind_of",
    "resolve",
    "split",
    "trace",
    "trace_lines",
    "truthy",
]
