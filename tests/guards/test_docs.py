"""Documents keep up: settings, built-in handlers, public names, links. (Commands: tests/cli/test_docs.py.)"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import tributary_daemon
from tributary_daemon.config import Config
from tributary_daemon.handlers import registry
from tributary_daemon.handlers.discovery import discover

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NOT_SETTINGS = {"sources", "origins"}


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def anchors(text):
    """Return the anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        goal = (path.parent / file).resolve() if file else path
        assert goal.exists(), target
        if anchor:
            assert anchor in anchors(goal.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("setting", sorted({f.name for f in dataclasses.fields(Config)} - NOT_SETTINGS))
def test_every_setting_is_documented(setting):
    assert re.search(rf"^\| `{setting}` \|", page("configuration.md"), re.MULTILINE)


def test_every_built_in_handler_is_documented():
    names = {name for name in discover(()).registry.names() if name.startswith("trib.")}
    assert "trib.noop.v1" in names
    assert isinstance(discover(()).registry, registry.Registry)
    assert {name for name in names if name not in page("handlers.md")} == set()


def test_every_public_name_is_documented():
    text = page("python.md") + page("handlers.md")
    assert {name for name in tributary_daemon.__all__ if name not in text} == set()


def test_every_view_and_public_function_of_sql_is_documented():
    text = page("sql.md") + page("protocol.md")
    public = [
        path.stem.removeprefix("view_")
        for path in (ROOT / "sql" / "functions").glob("*.sql")
        if path.read_text(encoding="utf-8").startswith("-- Public.")
    ]
    assert len(public) > 10
    assert {name for name in public if name not in text} == set()


def test_decisions_are_listed():
    listed = page("decisions/README.md")
    written = {path.name for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert {name for name in written if name not in listed} == set()
