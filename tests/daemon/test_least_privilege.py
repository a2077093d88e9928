# ruff: noqa: E501 - statements stand on one line
"""A worker that logs in as a member of the role for workers, and a submitter that may only submit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.daemon.conftest import HANDLERS, Desk
from tests.membership import logins
from tributary_daemon.app import Client

PASSWORD = "pw-4711-hidden"
EVERYTHING = """\
name: t.everything.v1
inputs: {n: {type: integer, default: 7}}
concurrency: {group: one, limit: 1}
schedule: {cron: "0 0 1 1 *"}
steps:
  first: {task: trib.noop.v1, with: {items: [1, 2, 3]}}
  each:
    needs: first
    for_each: ${{ steps.first.result.items }}
    task: t.note.v1
    with: {item: "${{ item }}"}
    queue: limited
  again: {task: trib.fail.v1, with: {times: 1, message: once}, retry: {delay: 0s, backoff: fixed}}
  effect: {task: t.effect.v1}
  alone: {task: t.alone.v1}
  tolerated: {task: trib.fail.v1, with: {message: never}, max_attempts: 1, continue_on_error: true}
  insert: {task: trib.sql.v1, with: {sql: "insert into effects (id) values (%s)", params: ["${{ inputs.n }}"]}}
  harm: {task: trib.sql.v1, with: {sql: "drop table tributary.steps"}, max_attempts: 1, continue_on_error: true}
finally:
  last: {task: trib.noop.v1}
result: {sum: "${{ length(steps.each.result) }}"}
"""
ALONE = """
@handler("t.alone.v1", isolation="process")
def alone(step: Step) -> int:
    return 1
"""


@pytest.fixture(scope="module")
def urls(server, template):
    with logins(server, template) as found:
        yield found


@pytest.fixture(scope="module")
def desk(urls, tmp_path_factory, eventually):
    """A desk whose worker is no more than a worker; the URL, with a password, is on its command line."""
    home = tmp_path_factory.mktemp("least")
    shutil.copy(HANDLERS, home / "handlers_for_tests.py")
    with (home / "handlers_for_tests.py").open("a") as file:
        file.write(ALONE)
    given = conninfo_to_dict(urls["worker"])
    host = f"host={given['host']}&port={given['port']}"
    url = f"postgresql://{given['user']}:{PASSWORD}@/{given['dbname']}?{host}"
    with psycopg.connect(urls["owner"], autocommit=True) as owner, (home / "log").open("wb") as log:
        user = sql.Identifier(given["user"])
        owner.execute("create table effects (id text, attempt int, pid int)")
        owner.execute(sql.SQL("grant insert, select on effects to {}").format(user))
        owner.execute(sql.SQL("alter role {} password {}").format(user, sql.Literal(PASSWORD)))
        owner.execute("select tributary.set_queue('limited', concurrency => 2)")
        worker = subprocess.Popen(
            [
                sys.executable, "-m", "tributary_daemon", "worker", "--database-url", url, "--processes", "1",
                "--queues", "default,limited", "--import", "./handlers_for_tests.py",
            ],
            env={**os.environ, "TRIB_HOME": str(home), "HOME": str(home), "TRIB_KEEP": "30d"},
            cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        made = Desk(urls["owner"], home, owner, eventually, worker=worker)
        made.log = lambda: (home / "log").read_text(errors="replace")
        try:
            eventually(lambda: "process started" in made.log(), 40, made.log)
            (home / "everything.yaml").write_text(EVERYTHING)
            with Client(urls["admin"]) as admin:
                admin.register(str(home / "everything.yaml"))
            yield made
            worker.terminate()
            assert worker.wait(30) == 0
            assert "permission denied for" not in made.log().replace("must be owner", "")
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
            print(made.log())


def test_a_worker_needs_no_more_than_its_role(desk, urls):
    """Fan-outs, retries, effects, isolation, groups, limits, hooks: submitted by one who may only submit."""
    with Client(urls["submit"]) as submitter:
        run = submitter.submit("t.everything.v1", {"n": 7}).id
        intent = submitter.submit("t.note.v1", {"by": "submitter"}).id
    desk.until_run(run, "completed", timeout=60)
    desk.until(intent, "completed")
    rows = dict(
        desk.sql.execute(
            "select step_id, state::text from tributary.steps where run_id = %s and kind = 'step'"
            " and item_key is null",
            (run,),
        ).fetchall()
    )
    assert {step for step, state in rows.items() if state != "completed"} == {"harm", "tolerated"}
    assert desk.one("select result from tributary.runs where run_id = %s", run)[0] == {"sum": 3}
    assert desk.one("select count(*) from effects where id = '7'")[0] == 1
    assert any("must be owner" in message for *_, message in desk.errors(run))


def test_the_leader_does_its_rounds(desk, urls):
    """Schedules fire and get their next slot, and depths are sampled, by the same login."""
    with psycopg.connect(urls["admin"], autocommit=True) as admin:
        admin.execute("select tributary.schedule_intent('tick', '* * * * * *', 'trib.noop.v1')")
        fired = "select last_run_id is not null from tributary.schedules where name = 'tick'"
        desk.wait(lambda: desk.one(fired) == (True,), 40, "a slot fires")
        admin.execute("select tributary.unschedule('tick')")
    desk.wait(
        lambda: desk.one("select next_slot is not null from tributary.schedules") == (True,), 40, "a slot"
    )
    desk.wait(lambda: desk.one("select count(*) from tributary.queue_stats")[0] > 0, 40, "a sample")


def test_no_password_is_seen_by_ps_or_in_the_log(desk):
    group = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.parent.joinpath("stat").exists() and _session(path.parent) == desk.worker.pid
    ]
    assert len(group) >= 2, "the supervisor and its process"
    words = b"".join(path.read_bytes() for path in group)
    assert b"--database-url" in words
    assert PASSWORD.encode() not in words
    assert PASSWORD not in desk.log()
    stored = desk.sql.execute("select to_jsonb(w)::text from tributary.workers w").fetchall()
    assert stored
    assert PASSWORD not in str(stored)


def _session(process):
    """Return the session of a process; None when it has just ended."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return None
