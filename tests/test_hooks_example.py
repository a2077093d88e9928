"""The hook of docs/hooks.md is run as it stands there."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tributary_daemon import handler
from tributary_daemon.testing import Bench

PAGE = Path(__file__).parents[1] / "docs" / "hooks.md"


@pytest.fixture
def stamp(tmp_path, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "stamping.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("stamping").Stamp
    sys.modules.pop("stamping", None)


def test_it_adds_what_it_says_to_payloads_and_results(stamp, server):
    @handler("shop.order.v1")
    def order(by: str) -> str:
        return f"ordered by {by}"

    @handler("shop.aorder.v1")
    async def aorder(by: str) -> str:
        return f"ordered by {by}"

    with Bench(url=server, hooks=[stamp(by="ada")]) as bench:
        # what is submitted is checked first: a payload without its field would be refused
        for name in ("shop.order.v1", "shop.aorder.v1"):
            result = bench.run(name, {"by": ""}).result
            assert result["result"] == "ordered by ada"
            assert result["seconds"] >= 0
