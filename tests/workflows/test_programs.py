"""The recipes that are programs: each is run as its first lines say, and prints what is expected here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "workflows" / "recipes"
PRINTED = {
    "hello_world": """\
        Hello, world!
        """,
    "parallel": """\
        dashboard, dashboard_activity, dashboard_friends, dashboard_profile
        Ada ['3 logins', "ada's friend"]
        """,
    "methods": """\
        7.70
        """,
    "error_handling": """\
        completed after attempt 3
        discarded after attempt 1 - the card was refused
        discarded after attempt 1 - far is in no country that we know
        failed - odd is a fraud - charge skipped
        completed - charged for refused
        """,
    "exactly_once": """\
        one intent: True - created: True False
        completed after attempt 2 - 1250 cents booked
        """,
    "crash_recovery": """\
        the first worker ended with -9
        completed - expensive was called 1 time, this is attempt 2
        """,
    "batch": """\
        completed {'films': 6, 'hours': 10.78}
        7 titles, 5 looked up
        0 completed 94
        1 completed 153
        2 discarded None
        3 completed 106
        4 completed 94
        5 completed 94
        6 completed 106
        """,
    "encryption": """\
        with the key: Ada has room 12
        without it: completed <encrypted> <encrypted>
        encrypted anew with 2027 - done: True
        without the old key: Ada has room 12
        """,
    "from_celery": """\
        one intent: True
        order N is packed
        """,
    "stores": """\
        postgres first completed 5224 fetched 3
        postgres second completed 5224 fetched 3
        """,
    "observability": """\
        6 intents belong together
        order-3 step_started attempt 1
        order-3 step_retry attempt 1
        order-3 step_started attempt 2
        order-3 step_completed attempt 2
        6 completed, 8 started, 2 tried again
        """,
}


def test_every_program_is_run():
    assert {path.stem for path in RECIPES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_it_prints_what_it_should(name, database, tmp_path):
    if name == "from_celery" and importlib.util.find_spec("celery") is None:
        pytest.skip("celery is not installed")
    path = RECIPES / f"{name}.py"
    assert f"    python workflows/recipes/{name}.py\n" in path.read_text(encoding="utf-8")
    said = subprocess.run(
        [sys.executable, path],
        env={**os.environ, "TRIB_DATABASE_URL": database, "TRIB_HOME": str(tmp_path), "HOME": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    expected = [line.strip() for line in PRINTED[name].strip().splitlines()]
    assert said.stdout.splitlines() == expected, said.stderr
