"""The examples as modules, loaded as a worker loads them; one run of an example by a real `trib run`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tributary_daemon.handlers.discovery import discover, module_name_of

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


@pytest.fixture(scope="session")
def example():
    """Return a function that loads ``workflows/NAME.py`` as a worker does, and returns the module."""

    def load(name):
        path = WORKFLOWS / f"{name}.py"
        failures = discover([str(path)], entry_points=False).failures
        assert not failures, failures
        return sys.modules[module_name_of(path)]

    return load


@pytest.fixture
def run_example(trib, tmp_path):
    """Return a function that does ``trib run NAME.yaml`` to its end and returns (exit code, document).

    Files that the handlers write land in ``tmp_path / "out"``.
    """

    def run(name, *arguments, handlers=None):
        imports = ["--import", WORKFLOWS / f"{handlers}.py"] if handlers else []
        said = trib(
            "run", WORKFLOWS / f"{name}.yaml", *imports, "--processes", 2, "-o", "json", *arguments,
            cwd=tmp_path, timeout=110,
        )  # fmt: skip
        assert said.stdout, said.stderr
        return said.returncode, json.loads(said.stdout)

    return run
