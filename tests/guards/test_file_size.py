"""Files hold one role: at most 400 lines, and most are far shorter."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
FOLDERS = ("tributary_daemon", "workflows", "bench", "chaos", "sql", "tests")


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_longer_than_400_lines(folder):
    long = {
        path.relative_to(ROOT).as_posix(): lines(path)
        for pattern in ("*.py", "*.sql")
        for path in (ROOT / folder).rglob(pattern)
        if ".environments" not in path.parts and lines(path) > MOST_LINES  # those are other people's
    }
    assert not long, "split them by role"


def test_the_median_file_of_the_package_is_short(record_property):
    sizes = [lines(path) for path in (ROOT / "tributary_daemon").rglob("*.py") if lines(path)]
    record_property("median_lines", median(sizes))
    assert median(sizes) <= 150, f"median {median(sizes)} of {len(sizes)} files"
