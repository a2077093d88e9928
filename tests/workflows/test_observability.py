"""The observability example, run as its file says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "workflows" / "observability.py"


def test_what_happens_is_counted_and_told(trib_env, tmp_path):
    done = subprocess.run(
        [sys.executable, FILE], env=trib_env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("order-3")] == [
        "order-3  step_started    attempt 1",
        "order-3  step_retry      attempt 1",
        "order-3  step_started    attempt 2",
        "order-3  step_completed  attempt 2",
    ]
    assert lines[-2:] == [
        "6 intents with the correlation id 'demo'",
        "6 completed, 8 started, 2 tried again",
    ]
