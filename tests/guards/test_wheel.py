"""The wheel carries what the code needs at run time, and works without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("tributary_daemon", "tributary_daemon"),
        ("sql", "tributary_daemon/_sql"),
        ("schemas", "tributary_daemon/_schemas"),
        ("systemd", "tributary_daemon/_systemd"),
    ],
)
def test_it_holds_what_the_source_tree_holds(wheel, folder, place):
    wanted = {
        f"{place}/{path.relative_to(ROOT / folder).as_posix()}"
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".sql", ".json", ".typed", ".service"}
    }
    assert wanted
    assert wanted - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_it_holds_nothing_else(wheel):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tributary_daemon"}


def test_it_migrates_a_database_by_itself(wheel, empty_database, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys, tributary_daemon; from tributary_daemon.store.migrations import Migrator;"
        "Migrator(sys.argv[1]).up(); print(tributary_daemon.__file__)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, empty_database],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert Path(said.stdout.strip()).is_relative_to(tmp_path)
