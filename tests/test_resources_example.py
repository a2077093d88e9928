"""The example of resources in docs/handlers.md is run as it stands there."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "handlers.md"


@pytest.fixture
def example(tmp_path, monkeypatch, server):
    """The test module of the example, imported with the module that it is about."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Resources\n")[2].partition("\n## ")[0]
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TRIB_DATABASE_URL", server)
    yield importlib.import_module("test_shop")
    for name in ("shop", "test_shop"):
        sys.modules.pop(name, None)


def test_the_example_works(example, tmp_path):
    example.test_by_hand(tmp_path)
    example.test_on_a_bench()
    example.test_what_lies_beneath()
    assert {name for name in vars(example) if name.startswith("test_")} == {
        "test_by_hand", "test_on_a_bench", "test_what_lies_beneath",
    }  # fmt: skip
