"""Functions that switch access paths off must not be compiled for it.

Up to PostgreSQL 17 a path that is switched off and taken all the same costs ten billion: enough for the
server to compile the plan, anew at every execution (100 ms and more where LLVM is installed).
"""

from __future__ import annotations

import re
from pathlib import Path

FUNCTIONS = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (Path(__file__).resolve().parents[2] / "sql" / "functions").glob("*.sql")
}


def callers(name):
    return [other for other, text in FUNCTIONS.items() if other != name and re.search(rf"\b{name}\(", text)]


def interprets(name, below=()):
    """Return whether a function runs with the compiler off, by its own setting or that of all its callers.

    ``below`` are those on the way to it: a circle of calls begins with a caller that is none of it.
    """
    if "\nset jit to off" in FUNCTIONS[name]:
        return True
    above = callers(name)
    outside = [other for other in above if other not in below]
    return bool(above) and all(interprets(other, (*below, name)) for other in outside)


def test_no_plan_with_paths_switched_off_is_compiled():
    strict = [
        name for name, text in FUNCTIONS.items() if re.search(r"^set enable_\w+ to off", text, re.MULTILINE)
    ]
    assert len(strict) > 20
    assert [name for name in strict if not interprets(name)] == []
