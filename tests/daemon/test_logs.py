"""What attempts say, from real workers to the table and back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tributary_daemon.app import AsyncClient, Client
from tributary_daemon.client.log_records import DROPPED
from tributary_daemon.errors import InvalidInput, NotFound

MIB = 1_048_576


@pytest.fixture
def client(shared):
    with Client(shared.url) as client:
        yield client


def texts(client, work, step=None, **options):
    return [record.text for record in client.logs(work, step, **options)]


def chunks(desk, work):
    return desk.one("select count(*) from tributary.log_chunks where run_id = %s", work)[0]


def cli(desk, *args):
    return subprocess.run(
        [sys.executable, "-m", "tributary_daemon", *map(str, args)],
        env={**os.environ, "TRIB_DATABASE_URL": desk.url}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_lines_of_a_run_stand_in_order_and_are_there_with_its_end(shared, client):
    run = shared.run("""
        steps:
          first: {run: "echo out; echo err >&2"}
          then: {needs: first, task: t.say.v1, with: {lines: [one, two]}}
          last: {needs: then, run: "printf 'no newline'; exit 3", max_attempts: 2}
    """)
    client.wait(run, 30)
    records = list(client.logs(run))
    seen = [(r.step, r.attempt, r.stream, r.level, r.text) for r in records]
    assert sorted(seen[:2]) == [("first", 1, "stderr", None, "err"), ("first", 1, "stdout", None, "out")]
    assert seen[2:] == [
        ("then", 1, "log", "info", "one"),
        ("then", 1, "log", "info", "two"),
        ("last", 1, "stdout", None, "no newline"),
        ("last", 2, "stdout", None, "no newline"),
    ]
    assert records[2].fields == {"n": 3}
    assert [r.at for r in records] == sorted(r.at for r in records)
    started = client.get(run).steps["then"].started_at
    assert abs((records[2].at - started).total_seconds()) < 1
    # one write per attempt that said something at once
    assert chunks(shared, run) == 4


@pytest.mark.parametrize("name", ["t.say_async.v1", "t.say_alone.v1", "t.say_and_book.v1"])
def test_handlers_of_every_kind_are_heard(shared, client, name):
    work = shared.submit(name, {"lines": ["one", "two"]})
    client.wait(work, 30)
    expected = ["one", "two", "and output"] if "alone" in name else ["one", "two"]
    shared.wait(lambda: texts(client, work) == expected, 10)


def test_who_says_nothing_costs_nothing(shared, client):
    work = shared.submit("t.note.v1")
    run = shared.run("steps: {quiet: {run: 'true'}}")
    client.wait(work, 30)
    client.wait(run, 30)
    assert chunks(shared, work) == chunks(shared, run) == 0
    assert texts(client, run) == []


def test_what_is_asked_for_is_what_comes(shared, client):
    run = shared.run("steps: {a: {run: 'seq 1 9; echo e >&2'}, b: {task: t.say.v1, with: {lines: [l]}}}")
    client.wait(run, 30)
    assert texts(client, run, "a", streams=["stdout"]) == [str(n) for n in range(1, 10)]
    assert texts(client, run, streams=["stderr", "log"]) in (["e", "l"], ["l", "e"])
    assert texts(client, run, "a", tail=2, streams=["stdout"]) == ["8", "9"]
    assert texts(client, run, tail=0) == []
    assert texts(client, run, attempt=2) == []
    assert len(texts(client, run[-8:], since="5m")) == 11
    with pytest.raises(NotFound, match="no step 'c'"):
        client.logs(run, "c")
    with pytest.raises(NotFound):
        client.logs("0199aaaa-0000-7000-8000-000000000000")
    with pytest.raises(InvalidInput, match="stream"):
        client.logs(run, streams=["stdin"])


def test_an_intent_keeps_the_lines_of_all_attempts(shared, client):
    work = shared.submit("t.say.v1", {"lines": ["again"], "fail": True}, max_attempts=1)
    client.wait(work, 30)
    client.requeue(work)
    shared.wait(lambda: len(texts(client, work)) == 2, 20)
    assert [(r.attempt, r.step) for r in client.logs(work)] == [(1, None), (2, None)]
    assert texts(client, work, attempt=2) == ["again"]


def test_following_shows_lines_as_they_come_and_ends_with_the_work(shared, client):
    run = shared.run(
        "steps: {a: {task: t.say.v1, with: {lines: [first], gate: follow}}, b: {needs: a, run: echo second}}"
    )
    lines = client.logs(run, follow=True)
    assert next(lines).text == "first"
    assert client.get(run).state == "running"
    shared.open("follow")
    assert [record.text for record in lines] == ["second"]

    async def all_of_it():
        async with AsyncClient(shared.url) as other:
            return [record.text async for record in other.logs(run, follow=True)]

    assert asyncio.run(all_of_it()) == ["first", "second"]


def test_a_flood_is_bounded_and_stalls_nobody(shared, client):
    start = time.monotonic()
    flood = "yes floodfloodflood | head -n 4000000 || true"  # some seconds of it, on any machine
    run = shared.run(f"steps: {{flood: {{run: 'echo begin; {flood}; echo end >&2'}}}}")
    shared.wait(lambda: chunks(shared, run) > 5, 20)
    waits = []
    for _ in range(10):
        began = time.monotonic()
        client.wait(shared.submit("t.say.v1", {"lines": ["quick"]}), 20, poll=0.01)
        waits.append(time.monotonic() - began)
    assert sorted(waits)[5] < 1.0
    client.wait(run, 60)
    assert time.monotonic() - start < 40
    size = shared.one("select sum(bytes), max(lines_before) from tributary.log_chunks where run_id = %s", run)
    assert MIB / 2 < size[0] < 1.2 * MIB
    assert size[1] > 1_000_000
    records = list(client.logs(run))
    assert records[0].text == "begin"
    # whatever stdout says, the last words of stderr are kept
    assert "end" in [record.text for record in records if record.stream == "stderr"]
    gaps = [record for record in records if record.stream == DROPPED]
    assert gaps
    assert gaps[0].fields["lines"] > 0
    assert gaps[0].text.endswith("dropped")


def test_lines_of_a_cancelled_step_stay(shared, client):
    work = shared.submit("t.say_alone.v1", {"lines": ["so far"], "gate": "never"})
    shared.wait(lambda: "so far" in texts(client, work), 20)
    client.cancel(work)
    assert "so far" in texts(client, work)


def test_what_a_process_had_written_outlives_its_crash(desk, crew):
    crew()
    work = desk.submit("t.say.v1", {"lines": ["said"], "gate": "go"})
    with Client(desk.url) as client:
        desk.wait(lambda: texts(client, work) == ["said"], 30)
        (pid,) = desk.pids()
        os.kill(pid, signal.SIGKILL)
        desk.wait(lambda: [r.attempt for r in client.logs(work)] == [1, 2], 40)
        desk.open("go")
        client.wait(work, 30)


def test_the_database_may_go_away_meanwhile(desk, crew):
    crew()
    work = desk.submit("t.say.v1", {"lines": ["before"], "gate": "go"})
    with Client(desk.url) as client:
        desk.wait(lambda: texts(client, work) == ["before"], 30)
        assert desk.cut("trib %lines") == 1
        desk.open("go")
        client.wait(work, 30)
        after = desk.submit("t.say.v1", {"lines": ["after"]})
        desk.wait(lambda: texts(client, after) == ["after"], 30)


def test_the_command_shows_and_follows(shared, client):
    run = shared.run("""
        steps:
          a: {run: "printf '\\\\033[31mred\\\\033[0m\\\\n10%%\\\\r100%%\\\\n'"}
          b: {needs: a, run: "echo oops >&2; exit 4"}
    """)
    followed = cli(shared, "logs", run, "--follow")
    assert followed.stdout == "a | red\na | 100%\nb | oops\n"
    assert followed.returncode == 1
    shown = cli(shared, "logs", run[-8:], "b", "-t")
    assert shown.returncode == 0
    assert shown.stdout.endswith("Z oops\n")
    rows = [json.loads(line) for line in cli(shared, "logs", run, "-o", "jsonl").stdout.splitlines()]
    assert [row["text"] for row in rows] == ["\x1b[31mred\x1b[0m", "10%\r100%", "oops"]
    assert set(rows[0]) == {"at", "id", "step", "item", "attempt", "stream", "level", "text", "fields"}
    assert json.loads(cli(shared, "logs", run, "-o", "json", "--tail", "1").stdout) == rows[-1:]
    assert cli(shared, "logs", run, "nope").returncode == 4
    assert cli(shared, "logs", run, "--follow", "-o", "json").returncode == 2
    assert "exit code 4: oops" in cli(shared, "status", run).stdout
