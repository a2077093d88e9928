"""Words of other expression languages, and what to write here instead."""

from __future__ import annotations

from typing import Final

FUNCTIONS: Final = {
    "hashfiles": "expressions read no files; hash(value) hashes a value, and a step can return that of files",
    "len": "write length(x)",
    "size": "write length(x)",
    "count": "write length(x)",
    "concat": "write format('{0}{1}', a, b)",
    "lower": "`==`, contains, startsWith and endsWith ignore case already",
    "upper": "`==`, contains, startsWith and endsWith ignore case already",
    "not": "write !(x)",
    "if": "write case(condition, then, else)",
    "iif": "write case(condition, then, else)",
    "coalesce": "write a ?? b",
    "default": "write a ?? b",
    "int": "write fromJSON(text)",
    "number": "write fromJSON(text)",
    "float": "write fromJSON(text)",
    "str": "write format('{0}', x)",
    "string": "write format('{0}', x)",
    "json": "write toJSON(x)",
    "sha256": "write hash(x)",
    "split": "there is none; let a step return a list",
    "succeeded": "write success()",
    "failed": "write failure()",
}
CONTEXTS: Final = {
    "github": "inputs are `inputs`, the run is `run`",
    "needs": "results of steps are steps.ID.result",
    "params": "inputs are `inputs`",
    "vars": "write `env`, or an input",
    "job": "the run is `run`",
    "jobs": "results of steps are steps.ID.result",
    "runner": "the run is `run`",
    "strategy": "write `matrix`, `item` or `index`",
    "workflow": "the run is `run`",
    "none": "write null",
    "nil": "write null",
    "undefined": "write null",
}
OPERATORS: Final = {
    "and": "write &&",
    "or": "write ||",
    "not": "write !x",
    "eq": "write ==",
    "ne": "write !=",
    "is": "write ==, or same(a, b) to tell kinds and case apart",
    "in": "write contains(list, x)",
    "if": "write case(condition, then, else)",
    "mod": "write a % b",
    "div": "write a / b",
}
