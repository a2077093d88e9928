"""Floors: the contracts in pyproject.toml hold, and no import hides inside a function."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tributary_daemon"
LATE_IMPORTS = {"cli/loader.py", "__init__.py"}  # the two that architecture.md allows


def test_every_floor_imports_only_what_lies_below_it():
    linter = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    said = subprocess.run(linter, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_imports_stand_at_the_top():
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in LATE_IMPORTS
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []
