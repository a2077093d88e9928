"""Versions of handlers: declared, of the source, of the bytecode."""

from __future__ import annotations

import importlib.util
import os
import time

import pytest

from tributary_daemon import handler
from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers import code_version
from tributary_daemon.handlers.registry import REGISTRY

CODE = "def f(x):\n    return x + {}\n\n\ndef other():\n    return 1\n"


def load(path, text):
    """Write a module and import it."""
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of(function, since=None):
    return code_version.of(function, time.time() + 10 if since is None else since)


def test_the_source_of_the_function_counts_and_nothing_around_it(tmp_path):
    first = of(load(tmp_path / "a.py", CODE.format(1)).f)
    assert first.startswith("source:")
    assert (
        of(load(tmp_path / "b.py", "import os\n\n" + CODE.format(1).replace("return 1", "return 2")).f)
        == first
    )
    assert of(load(tmp_path / "c.py", CODE.format(2)).f) != first


def test_a_file_that_is_newer_than_the_code_is_not_believed(tmp_path):
    path = tmp_path / "a.py"
    function = load(path, CODE.format(1)).f
    since = path.stat().st_mtime + 1
    believed = of(function, since)
    path.write_text(CODE.format(2))
    os.utime(path, (since + 5, since + 5))
    old = of(function, since)
    assert old.startswith("code:")
    assert old not in {believed, of(load(tmp_path / "b.py", CODE.format(2)).f, 0.0)}


def test_code_without_a_source_has_a_version_too():
    found = []
    for number in (1, 1, 2):
        scope = {}
        exec(CODE.format(number), scope)
        found.append(of(scope["f"]))
    assert found[0] == found[1] != found[2]
    assert found[0].startswith("code:")


@pytest.mark.parametrize("version", ["", 2, "x" * 201])
def test_a_version_is_a_text(version):
    with pytest.raises(HandlerError, match="version"):

        @handler("t.versioned.v1", version=version)
        def versioned() -> None:
            """Nothing."""


def test_a_declared_version_is_the_version():
    @handler("t.versioned.v1", version="2")
    def versioned() -> None:
        """Nothing."""

    try:
        assert REGISTRY.get("t.versioned.v1").version == "2"
    finally:
        REGISTRY.remove("t.versioned.v1")
