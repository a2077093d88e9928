"""Broken files, each with what is said about it beside it; `told.py` writes that down anew."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("told", Path(__file__).with_name("told.py"))
told = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(told)


@pytest.mark.parametrize("path", told.FILES, ids=lambda path: path.stem)
def test_what_is_said(path):
    assert told.told(path) == path.with_suffix(".txt").read_text("utf-8")


def test_there_are_many_and_each_is_refused():
    assert len(told.FILES) >= 30
    for path in told.FILES:
        assert "TRB" in path.with_suffix(".txt").read_text("utf-8"), path.name


def test_nearly_every_fault_has_a_hint():
    said = "\n".join(path.with_suffix(".txt").read_text("utf-8") for path in told.FILES)
    marks = re.findall(r"^ *\| +\^~*(.*)$", said, re.MULTILINE)
    bare = [mark for mark in marks if not mark.strip()]
    assert len(marks) > 150
    assert len(bare) < 20, "a fault without a hint says all by itself: these are few"
