"""Who is to blame for a crash: the guilty is named after three crashes of its own, the innocent go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest


def test_one_handler_that_ends_its_process_among_200_good_intents(desk, rough):
    rough(processes=2)
    with desk.sql.transaction():
        good = [desk.submit("r.good.v1", {"ms": n % 7}) for n in range(100)]
        bad = desk.submit("r.end.v1", {"how": "exit"})
        good += [desk.submit("r.good.v1", {"ms": n % 7}) for n in range(100)]
    desk.until(bad, "discarded", timeout=40)
    desk.wait(
        lambda: desk.one("select count(*) from tributary.steps where state = 'completed'") == (200,),
        20, "the good ones complete",
    )  # fmt: skip
    assert [row[0] for row in desk.sql.execute("select run_id::text from tributary.dead_letters")] == [bad]
    state, attempt, reason, crashes = desk.row(bad)
    assert (state, reason) == ("discarded", "crashed")
    assert attempt == crashes == 4, "one beside others, three alone"
    messages = [row[3] for row in desk.errors(bad)]
    assert all("exit code 7" in message for message in messages)
    assert "alone" in messages[-1]
    assert len(desk.notes("began", bad)) == 4
    worst = desk.one("select max(attempt), max(crashes) from tributary.steps where name = 'r.good.v1'")
    assert worst <= (2, 1), "no innocent is taken down twice"


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("exit zero", "exit code 0"),
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("kill", "SIGKILL"),
        ("alarm", "SIGALRM"),
        ("close fds", "file descriptors"),
    ],
)
def test_a_handler_that_takes_its_process_down_is_named_in_its_dead_letter(desk, rough, how, named):
    worker = rough()
    bad = desk.submit("r.end.v1", {"how": how})
    desk.until(bad, "discarded", timeout=60)
    reason, message = desk.one(
        "select reason, error ->> 'message' from tributary.dead_letters where run_id = %s", bad
    )
    assert reason == "crashed"
    assert named in message
    assert desk.row(bad)[3] in (3, 4)
    probe = desk.submit("r.good.v1")
    desk.until(probe, "completed")
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sys.exit", "exit"),
        ("base", "base_exception"),
        ("interrupt", "base_exception"),
        ("signals", None),
        ("set", "unserialisable_result|invalid_result"),
        ("lambda", "unserialisable_result|invalid_result"),
    ],
)
def test_what_a_handler_can_do_short_of_that_is_an_ordinary_failure(desk, rough, how, reason):
    worker = rough()
    policy = '{"delay": 0.01, "backoff": "fixed"}'
    pids = desk.pids()
    bad = desk.submit("r.end.v1", {"how": how}, retry=policy)
    desk.until(bad, "discarded")
    assert desk.row(bad)[1] == 3
    found = desk.errors(bad)[-1][2]
    assert found is None if reason is None else found in reason.split("|")
    assert desk.pids() == pids, "its process lives on"
    assert worker.process.poll() is None


def test_an_isolated_handler_crashes_alone_from_the_start(desk, rough):
    rough()
    bad = desk.submit("r.lone.v1", {"how": "exit"})
    desk.until(bad, "discarded", timeout=40)
    assert desk.row(bad)[1:] == (3, "crashed", 3)
    assert {row[3] for row in desk.errors(bad)} == {"the process that it ran alone in ended with exit code 5"}


def test_an_isolated_handler_that_closes_its_descriptors_is_ended(desk, rough):
    rough()
    bad = desk.submit("r.lone.v1", {"how": "close fds"}, max_attempts=1)
    desk.until(bad, "discarded", timeout=40)
    assert desk.row(bad)[2] == "crashed"
    assert "closed its file descriptors" in desk.errors(bad)[-1][3]
    pid = desk.notes("began", bad)[0]["pid"]
    desk.wait(lambda: not Path(f"/proc/{pid}").exists(), 10, "it is gone")


def test_what_has_started_at_most_once_is_discarded_when_a_neighbour_crashes(desk, rough):
    rough("--concurrency", "3")
    once = desk.submit("r.once.v1", {"how": "wait"})
    desk.noted("began", once)
    bad = desk.submit("r.end.v1", {"how": "exit"})
    desk.until(once, "discarded")
    assert desk.row(once)[:3] == ("discarded", 1, "interrupted")
    desk.until(bad, "discarded", timeout=40)
    assert len(desk.notes("began", once)) == 1


def test_a_crash_of_an_at_most_once_handler_is_its_end(desk, rough):
    rough()
    bad = desk.submit("r.once.v1", {"how": "exit"})
    desk.until(bad, "discarded")
    assert desk.row(bad)[:3] == ("discarded", 1, "interrupted")
    assert "exit code 7" in desk.errors(bad)[0][3]


def test_a_crash_that_comes_after_the_handler_has_returned_does_not_go_on_for_ever(desk, rough):
    worker = rough()
    ids = [desk.submit("r.end.v1", {"how": "late"}) for _ in range(3)]
    for run in ids:
        desk.until(run, "completed")
    desk.wait(lambda: "process died" in worker.log(), 10, "the late crash came")
    probe = desk.submit("r.good.v1")
    desk.until(probe, "completed")


def test_suspects_survive_a_kill_from_outside_and_share_a_process(desk, rough):
    rough("--concurrency", "6")
    ids = [desk.submit("t.hold.v1", {"gate": "never", "first": True}) for _ in range(6)]
    desk.noted("began", count=6)
    os.kill(desk.notes("began")[0]["pid"], signal.SIGKILL)
    for run in ids:
        desk.until(run, "completed", timeout=40)
    for run in ids:
        assert desk.row(run) == ("completed", 2, None, 1)
    again = [note for note in desk.notes("began") if note["attempt"] == 2]
    own = set(desk.pids())
    assert not own & {note["pid"] for note in again}, "each ran in a process without neighbours"


def test_a_worker_that_dies_twice_with_a_step_makes_it_a_suspect(desk, rough):
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    query = "select lone_crashes from tributary.steps where run_id = %s"
    for death in (1, 2):
        worker = rough("--name", f"w{death}")
        desk.noted("began", run, count=death)
        worker.kill()
        desk.sql.execute("update tributary.processes set beat_at = beat_at - interval '20 seconds'")
        desk.sql.execute("update tributary.leaders set expires_at = expires_at - interval '1 minute'")
        desk.sql.execute(
            "select tributary.rescue(n::smallint, '10 seconds', 100) from generate_series(0, 15) as n"
        )
        assert desk.one(query, run)[0] == (None if death == 1 else 0)
    rough("--name", "w3")
    desk.noted("began", run, count=3)
    assert desk.notes("began", run)[2]["pid"] not in desk.pids(), "it runs alone now"
    desk.open()
    desk.until(run, "completed")
    assert desk.row(run) == ("completed", 3, None, 2)


def test_process_groups_of_shell_steps_end_with_a_crashed_process(desk, rough):
    rough("--enable-shell")
    path = desk.home / "shell.pid"
    run = desk.run(f"steps:\n  s: {{run: 'sleep 0.5; echo $$ > {path}; sleep 300 & wait'}}\n")
    shell = int(desk.wait(lambda: path.exists() and path.read_text().strip(), 20, "the script runs"))
    (process,) = desk.pids()
    os.kill(process, signal.SIGKILL)
    desk.wait(lambda: not Path(f"/proc/{shell}").exists(), 10, "its group is gone")
    desk.until_run(run, "failed")


def test_an_isolated_process_that_has_forked_and_ends_is_noticed(desk, rough):
    """What it forked holds its socket open."""
    rough()
    bad = desk.submit("r.lone.v1", {"how": "fork"}, max_attempts=1)
    desk.until(bad, "discarded", timeout=20)
    assert "exit code 6" in desk.errors(bad)[-1][3]


def test_a_handler_without_a_timeout_that_holds_the_interpreter_is_the_suspect(desk, rough):
    """Its neighbour is past its timeout by then, through no fault of its own."""
    rough("--concurrency", "4")
    again = '{"delay": 0.01, "backoff": "fixed"}'
    beside = desk.submit("t.hold.v1", {"gate": "never", "first": True}, timeout=1.5, retry=again)
    desk.noted("began", beside)
    hog = desk.submit("r.hogs.v1", {"only": 1, "seconds": 100})
    desk.noted("began", hog)
    desk.until(hog, "completed", timeout=40)
    desk.until(beside, "completed")
    assert desk.row(hog) == ("completed", 2, None, 1), "a crash of its own"
    assert desk.row(beside)[3] == 0
    assert [row[2] for row in desk.errors(beside)] == ["timeout"]


def test_a_process_that_nobody_registered_is_handed_nothing(desk):
    run = desk.submit("t.note.v1")
    desk.sql.execute("update tributary.steps set lone_crashes = 0, crashes = 1 where run_id = %s", (run,))
    with pytest.raises(psycopg.Error, match="not registered"):
        desk.sql.execute("select * from tributary.claim(42, '{default}', '{t.note.v1}')")
