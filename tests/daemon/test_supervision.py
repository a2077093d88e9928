"""Who watches whom: stopped children, stopped supervisors, dead supervisors, restart storms."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

DIES = """\
import os
from tributary_daemon import handler

@handler("x.never.v1")
def never() -> None: ...

if os.environ.get("TRIB_TEST_DIES") and os.path.exists("die"):
    os._exit(3)
"""


@contextmanager
def stopped(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def is_gone(pid):
    path = Path(f"/proc/{pid}/stat")
    return not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_stopped_child_is_killed_reaped_and_replaced(desk, rough):
    worker = rough(env={"TRIB_SILENCE_LIMIT": "2s"})
    run = desk.submit("t.hold.v1", {"gate": "never", "first": True})
    (began,) = desk.noted("began", run)
    with stopped(began["pid"]):
        desk.until(run, "completed", timeout=30)
        assert not Path(f"/proc/{began['pid']}").exists(), "it is killed and reaped"
    assert desk.row(run) == ("completed", 2, None, 1)
    assert "no sign of life" in worker.log()


def test_a_supervisor_stopped_beyond_its_lease_is_refused_and_starts_anew(desk, rough):
    """Its children work on without it; what they did after others took over is dropped."""
    first = rough("--name", "stale")
    run = desk.submit("t.deaf.v1", {"gate": "gate"})
    (began,) = desk.noted("began", run)
    with stopped(first.pid):
        desk.sql.execute("update tributary.processes set beat_at = beat_at - interval '20 seconds'")
        desk.sql.execute("update tributary.leaders set expires_at = expires_at - interval '1 minute'")
        second = rough("--name", "fresh")
        desk.noted("began", run, count=2)
        desk.wait(lambda: "lease lost" in first.log(), 20, "the child hears of it while its parent stands")
    assert desk.row(run)[1] == 2
    desk.sql.execute(
        "select tributary.rescue(n::smallint, '10 seconds', 100) from generate_series(0, 15) as n"
    )
    desk.open()
    desk.until(run, "completed")
    assert desk.row(run)[1] == 2
    probe = [desk.submit("r.good.v1") for _ in range(50)]
    for one in probe:
        desk.until(one, "completed")
    assert {desk.row(one)[1] for one in probe} == {1}
    assert began["pid"] not in {note["pid"] for note in desk.notes("began", run)[1:]}
    assert second.stop() == 0
    assert first.stop() == 0


def test_a_fenced_worker_replaces_its_processes(desk, rough):
    worker = rough("--name", "fenced", processes=2)
    before = set(desk.pids())
    with stopped(worker.pid, *before):
        desk.sql.execute("delete from tributary.processes")
        desk.sql.execute("delete from tributary.workers")
    desk.wait(lambda: "worker fenced" in worker.log(), 20, "it learns of it")
    desk.wait(lambda: len(set(desk.pids()) - before) == 2, 30, "its processes are new")
    assert all(is_gone(pid) for pid in before)
    desk.until(desk.submit("r.good.v1"), "completed")
    assert desk.one("select count(*) from tributary.workers") == (1,)


def test_children_of_a_dead_supervisor_end_even_while_a_handler_holds_the_interpreter(desk, rough):
    worker = rough(env={"TRIB_SILENCE_LIMIT": "2s"}, processes=2)
    run = desk.submit("r.hogs.v1", {"seconds": 100})
    (began,) = desk.noted("began", run)
    pids = desk.pids()
    os.kill(worker.pid, signal.SIGKILL)
    desk.wait(lambda: all(is_gone(pid) for pid in pids), 20, "all end")
    assert began["pid"] in pids
    assert "Timeout" in worker.log(), "the one that hung says where"


def test_isolated_processes_end_with_whoever_holds_their_lease(desk, rough):
    worker = rough()
    run = desk.submit("r.lone.v1", {"how": "hang"})
    (began,) = desk.noted("began", run)
    pids = desk.pids()
    for pid in (worker.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    desk.wait(lambda: is_gone(began["pid"]), 10, "nobody would take its answer")


def test_a_process_that_dies_at_its_start_is_not_spawned_in_a_storm(desk, crew):
    (desk.home / "dies.py").write_text(DIES)
    worker = crew("--import", "./dies.py", env={"TRIB_TEST_DIES": "1"})
    (desk.home / "die").touch()
    os.kill(desk.pids()[0], signal.SIGKILL)
    deaths = lambda: [json.loads(line) for line in worker.log().splitlines() if '"process died"' in line]  # noqa: E731
    desk.wait(lambda: len(deaths()) >= 4, 40, "it dies again and again")
    at = [time.mktime(time.strptime(one["timestamp"][:19], "%Y-%m-%dT%H:%M:%S")) for one in deaths()]
    assert at[3] - at[1] >= 1, "the pauses grow"
    assert worker.process.poll() is None
    (desk.home / "die").unlink()
    desk.until(desk.submit("t.note.v1"), "completed", timeout=30)


def test_a_drain_during_a_restart_storm_ends(desk, crew):
    (desk.home / "dies.py").write_text(DIES)
    worker = crew("--import", "./dies.py", env={"TRIB_TEST_DIES": "1"})
    (desk.home / "die").touch()
    os.kill(desk.pids()[0], signal.SIGKILL)
    desk.wait(lambda: worker.log().count('"process died"') >= 2, 30, "it dies again")
    assert worker.stop() == 0


CLOCK = """
    create table public.clock_offset (by interval);
    insert into public.clock_offset values ('0');
    create or replace function tributary.clock() returns timestamptz language sql volatile parallel safe
    as 'select clock_timestamp() + (select by from public.clock_offset)'
"""


@pytest.mark.parametrize("jump", ["1 hour", "-1 hour"])
def test_the_clock_of_the_server_may_jump(desk, rough, jump):
    """Whoever lives keeps its leases, whoever is dead loses them, however the clock was set."""
    desk.sql.execute(CLOCK)
    workers = [rough("--name", name) for name in "ab"]
    held = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(4)]
    desk.noted("began", count=4)
    dead = desk.submit("t.hold.v1", {"gate": "never", "first": True}, queue="apart")
    third = rough("--name", "c", "--queues", "apart")
    desk.noted("began", dead)
    desk.sql.execute("update public.clock_offset set by = %s", (jump,))
    third.kill()
    fourth = rough("--name", "d", "--queues", "apart")
    desk.until(dead, "completed", timeout=40)
    assert desk.row(dead)[1] == 2
    # by now every leader has looked several times
    desk.open()
    for run in held:
        desk.until(run, "completed")
        assert desk.row(run)[1] == 1
    for worker in (*workers, fourth):
        assert "worker fenced" not in worker.log()
        assert worker.process.poll() is None


def test_a_lock_on_what_a_dead_process_held_does_not_stop_the_beat(desk, rough):
    worker = rough(processes=2)
    run = desk.submit("t.hold.v1", {"gate": "never", "first": True})
    (began,) = desk.noted("began", run)
    beat = "select max(beat_at) from tributary.workers"
    with psycopg.connect(desk.url) as other:
        other.execute("select from tributary.steps where run_id = %s for update", (run,))
        os.kill(began["pid"], signal.SIGKILL)
        desk.wait(lambda: "process died" in worker.log(), 20, "it is buried")
        for _ in range(3):
            before = desk.one(beat)
            desk.wait(lambda before=before: desk.one(beat) > before, 9, "it beats on")
        probe = desk.submit("r.good.v1")
        desk.until(probe, "completed")
    desk.until(run, "completed", timeout=40)
    assert desk.row(run)[1] == 2
    assert "worker fenced" not in worker.log()
