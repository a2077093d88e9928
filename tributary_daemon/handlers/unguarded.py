"""Whether the end of a generator would be passed over when an exception is raised at its ``yield``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_GUARDS = (ast.Try, ast.TryStar, ast.With, ast.AsyncWith)
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def has_unguarded_end(function: Callable[..., Any]) -> bool:
    """Return whether statements follow a ``yield`` that no ``try`` or ``with`` surrounds.

    Nothing is said against a function whose source cannot be read.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return False
    outer = tree.body[0]
    if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return any(_yields(statement) and not isinstance(statement, _GUARDS) for statement in outer.body[:-1])


def _yields(node: ast.AST) -> bool:
    return any(
        isinstance(child, ast.Yield) or (not isinstance(child, _INNER) and _yields(child))
        for child in ast.iter_child_nodes(node)
    )
