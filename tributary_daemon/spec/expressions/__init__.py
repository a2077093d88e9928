"""The expression language inside ``${{ }}``: pure, without loops, bounded in depth and size."""

from __future__ import annotations

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.syntax import Path
from tributary_daemon.spec.expressions.template import (
    CONTEXTS,
    Expression,
    compile_expression,
    is_dynamic,
    resolve,
    split,
)
from tributary_daemon.spec.expressions.values import kind_of

__all__ = [
    "CONTEXTS",
    "Expression",
    "ExpressionError",
    "Path",
    "compile_expression",
    "is_dynamic",
    "kind_of",
    "resolve",
    "split",
]
