"""The main job: what is counted, how it is shared out, and that processes really work side by side."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pytest

from tributary_daemon import Abort

SOURCE = '''"""A module."""
import os


class Shape:
    """With a docstring."""

    def area(self):
        if os.sep:
            def helper():
                return 1
        return 0


async def fetch():
    """Say what it does."""
    return [
        1,
        2,
    ]
'''


@pytest.fixture
def census(example):
    return example("census")


@pytest.fixture
def library(tmp_path):
    """A small library: two packages, two modules, and what must not be counted."""
    root = tmp_path / "lib"
    files = {
        "alpha/__init__.py": SOURCE,
        "alpha/inner/deep.py": "x = 1\n",
        "alpha/test/test_alpha.py": SOURCE,
        "beta/__init__.py": "def f(): pass\n" * 50,
        "gamma.py": "y = 2\n",
        "delta.py": "def broken(:\n",
        "site-packages/other.py": SOURCE,
        "test/test_all.py": SOURCE,
        "__pycache__/gamma.cpython-311.py": SOURCE,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_file_is_tallied(census, library):
    tally = census.tally_file(library / "alpha" / "__init__.py", "alpha/__init__.py")
    assert (tally.modules, tally.classes, tally.functions, tally.async_functions) == (1, 1, 3, 1)
    assert tally.lines == len(SOURCE.splitlines())
    assert tally.documented == 3  # module, class, fetch
    assert tally.docstring_coverage == round(3 / 5, 4)
    longest = tally.longest_function
    assert (longest.name, longest.lines, longest.line) == ("fetch", 6, 15)


def test_names_of_nested_functions_are_dotted(census, library):
    names = [name for name, _ in census.definitions(census.ast.parse(SOURCE))]
    assert sorted(names) == ["Shape", "Shape.area", "Shape.area.helper", "fetch"]


def test_deeply_nested_source_does_not_exhaust_the_stack(census):
    deep = "x = " + "+".join(["1"] * 900)
    assert list(census.definitions(census.ast.parse(deep))) == []


def test_source_that_does_not_parse_is_named_not_fatal(census, library):
    counted = census.count(census.CountArgs(root=str(library), names=["delta"]))
    assert counted.packages[0].unparsable == ["delta.py"]
    assert counted.packages[0].modules == 0


def test_tests_and_foreign_packages_are_left_out(census, library):
    assert census.top_level_names(library) == ["alpha", "beta", "delta", "gamma"]
    files = [path.relative_to(library).as_posix() for path in census.source_files(library, "alpha")]
    assert files == ["alpha/__init__.py", "alpha/inner/deep.py"]


def test_the_plan_shares_out_everything_once_by_weight(census, library):
    plan = census.plan(census.PlanArgs(named=["alpha"], chunks=2, root=str(library)))
    assert sorted(name for chunk in plan.chunks for name in chunk) == ["beta", "delta", "gamma"]
    assert ["beta"] in plan.chunks  # the heaviest alone


def test_a_library_that_is_not_on_disk_aborts(census, tmp_path):
    with pytest.raises(Abort, match="holds no Python source"):
        census.plan(census.PlanArgs(named=[], chunks=1, root=str(tmp_path / "missing.zip")))


def package(census, name, lines, pid, begin, seconds):
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=begin)
    return census.Package(
        name=name, pid=pid, started_at=start, finished_at=start + timedelta(seconds=seconds), lines=lines,
        modules=1, functions=2, documented=1,
    )  # fmt: skip


def test_packages_are_summed_and_sorted_and_absent_ones_dropped(census):
    first = census.Counted(packages=[package(census, "a", 10, 1, 0, 1), package(census, "none", 0, 1, 0, 0)])
    second = census.Counted(packages=[package(census, "b", 30, 2, 0.5, 1.5)])
    summed = census.summed([first, second])
    assert [one.name for one in summed.packages] == ["b", "a"]
    assert (summed.total.packages, summed.total.lines, summed.processes, summed.seconds) == (2, 40, 2, 2.0)
    with pytest.raises(Abort):
        census.summed([])


class Page(HTMLParser):
    """Collects the tags and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_escaped_and_needs_nothing_else(census, tmp_path):
    odd = package(census, "<b>&odd", 10, 1, 0, 1)
    summed = census.summed([census.Counted(packages=[odd, package(census, "b", 5, 2, 0, 1)])])
    written = census.write_html(census.WriteArgs(census=summed, directory=str(tmp_path / "new")))
    text = Path(written.path).read_text(encoding="utf-8")
    assert written.bytes == len(text.encode())
    page = Page(text)
    assert "<b>&odd" in page.text
    assert "$" not in page.text.replace("${", "")
    assert not [tag for tag, attrs in page.tags if {"src", "href"} & attrs.keys()]
    assert len([tag for tag, _ in page.tags if tag == "tr"]) == 3
    assert [path.name for path in Path(written.path).parent.iterdir()] == ["stdlib_census.html"]


def test_a_census_survives_json(census):
    summed = census.summed([census.Counted(packages=[package(census, "a", 10, 1, 0, 1)])])
    assert census.Census.model_validate_json(summed.model_dump_json()) == summed


def test_the_workflow_counts_the_standard_library_in_parallel(run_example, tmp_path):
    code, run = run_example("stdlib_census", handlers="census")
    assert (code, run["state"]) == (0, "completed"), run
    result = run["result"]
    assert result["modules"] > 400
    assert result["lines"] > 100_000
    assert Path(result["html"]) == tmp_path / "out" / "stdlib_census.html"
    report = json.loads(Path(result["json"]).read_text(encoding="utf-8"))
    assert report["total"]["packages"] == len(report["packages"]) == result["packages"]
    names = [one["name"] for one in report["packages"]]
    assert len(set(names)) == len(names)
    assert {"asyncio", "json", "argparse"} <= set(names)

    # two processes really worked at the same time
    spans = [(one["pid"], one["started_at"], one["finished_at"]) for one in report["packages"]]
    assert report["processes"] == len({pid for pid, _, _ in spans}) >= 2
    assert any(
        first[0] != second[0] and first[1] < second[2] and second[1] < first[2]
        for first, second in combinations(spans, 2)
    )
    assert all(step["attempt"] == 1 for step in run["steps"].values())
