"""The public face: what `tributary_daemon` exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import tributary_daemon

PROMISED = {
    "handler", "Step", "Client", "AsyncClient", "Workflow", "Worker", "Migrator",
    "Abort", "Snooze", "RetryAfter", "Retry",
}  # fmt: skip
MOST_NAMES = 25


def test_promised_names_exist_and_the_face_is_small():
    assert set(tributary_daemon.__all__) >= PROMISED
    assert len(tributary_daemon.__all__) < MOST_NAMES
    for name in tributary_daemon.__all__:
        assert getattr(tributary_daemon, name) is not None
    assert set(tributary_daemon.__all__) <= set(dir(tributary_daemon))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(tributary_daemon, "Clinet")


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, tributary_daemon;"
        "print(sorted({'psycopg', 'pydantic', 'rich', 'yaml', 'structlog', 'click'} & set(sys.modules)))"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30)
    assert said.strip() == "[]"
