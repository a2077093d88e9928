"""A worker whose machine has another time than the database: nothing is taken, nothing fires wrongly."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("other_time.c")
DAY = 86_400


@pytest.fixture
def skewed(tmp_path):
    """Environment of a process whose time of day is set by a file, and a function that sets it."""
    compiler = shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler")
        pytest.skip(
            "no C compiler to make a wrong clock with (Debian, Ubuntu: apt-get install gcc libc6-dev)"
        )
    library, file = tmp_path / "other_time.so", tmp_path / "offset"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SHIM], check=True)
    file.write_bytes(bytes(8))

    def jump(days):
        with file.open("r+b") as opened:
            opened.write(struct.pack("=q", days * DAY))

    return {"LD_PRELOAD": str(library), "OTHER_TIME": str(file)}, jump


def times(worker):
    lines = [line for line in worker.log().splitlines() if line.startswith("{")]
    return [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in lines]


@pytest.mark.outages
@pytest.mark.timeout(180)
def test_a_clock_that_is_wrong_and_jumps(desk, crew, skewed):
    environment, jump = skewed
    jump(400)
    started = datetime.now(UTC)
    desk.sql.execute(
        "select tributary.schedule_intent('yearly', '0 0 1 1 *', 't.note.v1', '{\"by\": \"year\"}')"
    )
    worker = crew("--name", "late", env=environment)
    assert times(worker)[-1] > started + timedelta(days=399), "the worker believes in another year"
    other = crew("--name", "true")
    held = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(4)]
    desk.noted("began", count=4)
    for offset in (-400, 10, -1):
        jump(offset)
        retried = desk.submit("t.ask.v1", {"what": "retry_after"})
        desk.until(retried, "completed")
        assert desk.row(retried)[1] == 2, "its delay passed by the database's time"
    # the leader computes anew, and fires what the database says is due
    desk.sql.execute(
        "update tributary.schedules set next_slot = '2020-01-01', next_at = tributary.clock(), catchup = 1e10"
    )
    fires = "select slot, outcome from tributary.schedule_fires order by slot"
    desk.wait(lambda: len(desk.sql.execute(fires).fetchall()) >= 7, 60, "missed slots are made up for")
    slots = [slot for slot, _ in desk.sql.execute(fires).fetchall()]
    assert len(set(slots)) == len(slots)
    assert max(slots) <= datetime.now(UTC)
    (next_slot,) = desk.one("select next_slot from tributary.schedules")
    assert next_slot.astimezone(UTC) == datetime(started.year + 1, 1, 1, tzinfo=UTC)
    desk.open()
    for run in held:
        desk.until(run, "completed")
        assert desk.row(run)[1] == 1
    # slots are made up for one after the other: between two of them nothing is at work
    left = """
        select (select count(*) from tributary.steps where finished_at is null)
               + (select sum(queued) from tributary.schedules)"""
    desk.wait(lambda: desk.one(left) == (0,), 60, "what was fired is done, and nothing is left to be fired")
    for one in (worker, other):
        assert "attempts rescued" not in one.log()
        assert "worker fenced" not in one.log()
        assert "process died" not in one.log()
        assert one.stop() == 0
    taken = desk.sql.execute("select created_at, finished_at from tributary.steps").fetchall()
    latest = datetime.now(UTC) + timedelta(seconds=5)
    assert all(started - timedelta(seconds=5) <= at <= latest for pair in taken for at in pair)
