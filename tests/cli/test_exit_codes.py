"""Each exit code, by the installed program as a child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

WORKFLOW = """\
name: shop.order.v1
inputs: {amount: {type: integer}}
steps:
  pick: {task: trib.noop.v1, with: {amount: "${{ inputs.amount }}"}}
  ship: {task: trib.noop.v1, needs: pick}
"""
COMPLETED = """
update tributary.steps
set state = 'completed', attempt = 1, reason = null, claimed_at = clock_timestamp(),
    started_at = clock_timestamp(), finished_at = clock_timestamp(), result = '{"done": true}'
where run_id = %s
"""
DISCARDED = """
update tributary.steps
set state = 'discarded', attempt = 3, reason = null, claimed_at = clock_timestamp(),
    finished_at = clock_timestamp()
where run_id = %s
"""


def _submit(trib, *arguments):
    done = trib("submit", *arguments, "-o", "name")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _said(done):
    """Return stderr, which must never be a traceback."""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_0_submit_prints_what_was_recorded(trib):
    done = trib("submit", "shop.order.v1", "--payload", '{"n": 1}', "--key", "k1", "-o", "json")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert {key: receipt[key] for key in ("kind", "name", "created")} == {
        "kind": "intent",
        "name": "shop.order.v1",
        "created": True,
    }
    assert "no worker has offered the handler 'shop.order.v1'" in _said(done)
    again = trib("submit", "shop.order.v1", "--key", "k1")
    assert again.returncode == 0
    assert receipt["id"] in again.stdout
    assert "the key was known" in again.stdout


def test_0_and_1_status_of_what_has_ended(trib, connection):
    identifier = _submit(trib, "shop.order.v1")
    connection.execute(COMPLETED, (identifier,))
    done = trib("status", "@latest", "--exit-status", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["result"] == {"done": True}
    assert trib("watch", identifier).returncode == 0
    connection.execute(DISCARDED, (identifier,))
    assert trib("status", identifier, "--exit-status").returncode == 1
    assert trib("status", identifier).returncode == 0
    done = trib("watch", identifier, "--timeout", "10s")
    assert done.returncode == 1
    assert f"trib retry {identifier}" in done.stdout


def test_2_a_part_of_an_id_that_fits_several(trib):
    first, second = _submit(trib, "a.b.v1"), _submit(trib, "a.b.v1")
    done = trib("status", first[:6])
    assert done.returncode == 2
    assert first in _said(done)
    assert second in done.stderr


def test_2_a_setting_that_is_malformed(trib):
    done = trib("list", env={"TRIB_CONCURRENCY": "many"})
    assert done.returncode == 2
    assert "TRIB_CONCURRENCY" in _said(done)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["submit", "order.yaml"], "amount"),
        (["submit", "order.yaml", "-i", "amount=many"], "amount"),
        (["submit", "order.yaml", "-i", "amuont=3"], "amount"),
        (["submit", "bad.yaml"], "bad.yaml:2:"),
        (["submit", "a.b.v1", "--payload", "{"], "not JSON"),
        (["submit", "a.b.v1", "--payload", '"\\u0000"'], "NUL"),
        (["submit", "a.b.v1", "--payload", "NaN"], "NaN"),
        (["submit", "a.b.v1", "--strict"], "a.b.v1"),
        (["register", "bad.yaml"], "[TRB"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_3_what_is_invalid_is_refused_and_nothing_stored(trib, tmp_path, connection, arguments, words):
    (tmp_path / "order.yaml").write_text(WORKFLOW)
    (tmp_path / "bad.yaml").write_text("steps:\n  a: {rum: x}\n")
    done = trib(*arguments)
    assert done.returncode == 3, done.stderr
    assert words in _said(done)
    assert connection.execute("select count(*) from tributary.steps").fetchone() == (0,)


def test_3_a_key_known_under_another_name(trib):
    _submit(trib, "a.b.v1", "--key", "k")
    done = trib("submit", "c.d.v1", "--key", "k")
    assert done.returncode == 3
    assert "'k'" in _said(done)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "01234567-0123-7123-8123-0123456789ab"],
        ["status", "@latest"],
        ["watch", "abcdef012345"],
        ["cancel", "01234567-0123-7123-8123-0123456789ab"],
        ["retry", "01234567-0123-7123-8123-0123456789ab"],
        ["rerun", "01234567-0123-7123-8123-0123456789ab"],
        ["why", "01234567-0123-7123-8123-0123456789ab"],
        ["dlq", "show", "01234567-0123-7123-8123-0123456789ab"],
        ["dlq", "requeue", "01234567-0123-7123-8123-0123456789ab"],
        ["dlq", "drop", "01234567-0123-7123-8123-0123456789ab"],
    ],
    ids=" ".join,
)
def test_4_not_found(trib, arguments):
    done = trib(*arguments)
    assert done.returncode == 4, done.stderr
    assert _said(done).startswith("error: ")


def test_5_not_ended_yet(trib):
    done = trib("submit", "a.b.v1", "--wait", "--timeout", "200ms", "-o", "json")
    assert done.returncode == 5
    document = json.loads(done.stdout)
    assert (document["state"], document["created"]) == ("waiting", True)
    assert f"trib watch {document['id']}" in _said(done)
    assert trib("status", document["id"], "--exit-status").returncode == 5
    assert trib("watch", document["id"], "--timeout", "100ms").returncode == 5


def test_6_cancelled(trib):
    identifier = _submit(trib, "a.b.v1")
    done = trib("cancel", identifier[-8:], "--reason", "not wanted", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"id": identifier, "state": "cancelled"}]
    assert trib("status", identifier, "--exit-status").returncode == 6
    assert trib("watch", identifier).returncode == 6


@pytest.mark.parametrize(
    "arguments", [["list"], ["submit", "a.b.v1"], ["doctor"], ["migrate", "status"], ["worker"]]
)
def test_7_no_server(trib, arguments):
    done = trib(*arguments, "--database-url", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert done.returncode == 7, done.stderr
    assert "127.0.0.1" in _said(done) + done.stdout
    assert "secret" not in done.stderr + done.stdout


def test_7_no_schema_and_none_wanted(trib, empty_database):
    done = trib("list", "--database-url", empty_database, "--no-auto-migrate")
    assert done.returncode == 7
    assert "trib migrate up" in _said(done)


def test_8_not_possible_in_this_state(trib):
    identifier = _submit(trib, "a.b.v1")
    other = _submit(trib, "a.b.v1")
    assert trib("cancel", identifier).returncode == 0
    done = trib("cancel", identifier, other)
    assert done.returncode == 8
    assert _said(done).startswith("error: ")
    assert other in done.stdout
    assert trib("status", other, "--exit-status").returncode == 6


@pytest.mark.parametrize("command", ["submit", "watch", "events"])
def test_130_ctrl_c_detaches_and_the_work_goes_on(trib, trib_env, tmp_path, eventually, command):
    identifier = _submit(trib, "a.b.v1", "--key", "k")
    arguments = {
        "submit": ["submit", "a.b.v1", "--key", "k", "--watch"],
        "watch": ["watch", identifier],
        "events": ["events", identifier, "--follow"],
    }[command]
    log = tmp_path / "out"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tributary_daemon", *arguments],
            env=trib_env,
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        eventually(lambda: log.stat().st_size, 20, "the first line")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    if command != "events":
        assert f"`trib watch {identifier}`" in said
    assert trib("status", identifier, "--exit-status").returncode == 5


def test_141_or_0_when_the_reader_goes_away(trib_env, tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m tributary_daemon config show -o jsonl | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env={**os.environ, **trib_env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in {0, 141}
    assert done.stderr == ""
