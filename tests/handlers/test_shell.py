"""Shell steps: real scripts in real process groups."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tributary_daemon.engine.executor import execute_async
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.builtin import scratch, shell
from tributary_daemon.handlers.builtin.subprocesses import TAIL_BYTES, run_group
from tributary_daemon.handlers.registry import Registry
from tributary_daemon.handlers.step import StepContext
from tributary_daemon.model.outcome import Completed, Failed, Released


@pytest.fixture
def handler():
    registry = Registry()
    shell.add_to(registry)
    return registry.get(shell.NAME)


@pytest.fixture
def run(handler, a_step, runtime):
    """Return a function that runs a script as a step; its outcome comes back."""

    def execute(script, env=None, inputs=None, timeout=None, powers=None, **keys):
        payload = shell.Script(run=script, env=env or {}, **keys).model_dump_json()
        powers = powers or runtime(StepContext(inputs or {}))
        step = a_step(powers, payload=payload, timeout=timeout, name=shell.NAME)
        return asyncio.run(execute_async(handler, step._attempt, step))

    return execute


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a zombie whose parent has not looked yet is dead too
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def appears(file):
    """Wait until a script has written to a file."""
    while not (file.exists() and file.read_text().strip()):  # noqa: ASYNC110 - nobody in this process sets an event
        await asyncio.sleep(0.01)


def test_outputs_are_the_result(run):
    script = 'exec >> "$TRIB_OUTPUT"; echo "a=1=2"; printf "text<<END\\none\\ntwo\\nEND\\n"'
    assert run(script) == Completed('{"a":"1=2","text":"one\\ntwo"}')
    assert run("true") == Completed("{}")


def test_the_environment_is_small_and_known(run, monkeypatch, a_step):
    monkeypatch.setenv("WORKER_SECRET", "hidden")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    out = run(
        'env > all; for n in $(cut -d= -f1 all | sort); do echo "$n=$(printenv $n)" >> $TRIB_OUTPUT; done',
        env={"MODE": "fast", "N": 3, "FLAG": True, "NONE": None, "LIST": [1, "ä"]},
        inputs={"email": "a@b", "max-size": 5, "deep": {"x": None}},
    )
    seen = shell.json.loads(out.result)
    assert "WORKER_SECRET" not in seen
    assert seen["TZ"] == "Asia/Tokyo"
    assert (seen["MODE"], seen["N"], seen["FLAG"], seen["NONE"], seen["LIST"]) == (
        "fast",
        "3",
        "true",
        "",
        '[1, "ä"]',
    )
    assert (seen["TRIB_INPUT_EMAIL"], seen["TRIB_INPUT_MAX_SIZE"], seen["TRIB_INPUT_DEEP"]) == (
        "a@b",
        "5",
        '{"x": null}',
    )
    assert (seen["TRIB_RUN_ID"], seen["TRIB_STEP"], seen["TRIB_STEP_ID"], seen["TRIB_ATTEMPT"]) == (
        a_step().run_id,
        "charge",
        "charge",
        "1",
    )
    known = {"PATH", "HOME", "LANG", "TZ", "MODE", "N", "FLAG", "NONE", "LIST", "TRIB_OUTPUT"}
    rest = {name for name in seen if name not in known and not name.startswith("TRIB_")}
    assert rest <= {"PWD", "SHLVL", "_", "OLDPWD"}


def test_a_failing_command_ends_the_script(run):
    outcome = run("echo before; false; echo after >&2")
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.exit_code) == ("ShellFailed", 1)
    assert outcome.error.message == "exit code 1: before"
    assert run("echo why >&2; exit 75").error.message == "exit code 75: why"
    assert run("kill -9 $$").error.message == "killed by signal 9"


def test_the_message_of_a_failure_is_the_last_lines_of_stderr(run):
    message = run("seq 1 3; for n in $(seq 1 100); do echo line $n >&2; done; exit 2").error.message
    assert message == "exit code 2: " + "\n".join(f"line {n}" for n in range(81, 101))
    assert len(run("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 2").error.message) < 2_100


def test_what_a_script_writes_is_kept_as_it_comes(run, runtime):
    powers = runtime()
    assert isinstance(run("echo out; printf err >&2", powers=powers), Completed)
    assert powers.said.streams == {"stdout": b"out\n", "stderr": b"err"}


def test_variables_of_a_script_cannot_pose_as_ours(run):
    out = run(
        'echo "run=$TRIB_RUN_ID step=$TRIB_STEP" >> $TRIB_OUTPUT',
        env={"TRIB_STEP": "other", "PATH": "/bin:/usr/bin"},
    )
    assert "step=charge" in out.result


@pytest.mark.parametrize(
    ("named", "script"),
    [
        ("bash", 'echo "is=${BASH_VERSION:+bash}" >> $TRIB_OUTPUT; false | true'),
        ("bash", 'echo "is=bash" >> $TRIB_OUTPUT; [[ a == a ]]'),
        ("sh", "echo is=bash >> $TRIB_OUTPUT; true"),
        ("python", "import os; open(os.environ['TRIB_OUTPUT'], 'a').write('is=bash')"),
        ("/bin/sh", "echo is=bash >> $TRIB_OUTPUT"),
        ("/bin/sh -eu {0} one", "echo is=bash >> $TRIB_OUTPUT; test $1 = one"),
        ("sh -c '. {0}'", "echo is=bash >> $TRIB_OUTPUT"),
    ],
)
def test_a_step_names_its_shell(run, named, script):
    outcome = run(script, shell=named)
    if "false | true" in script:
        # pipefail
        assert (outcome.error.type, outcome.error.exit_code) == ("ShellFailed", 1)
    else:
        assert outcome == Completed('{"is":"bash"}')


@pytest.mark.parametrize(
    ("named", "said"), [("nosuchshell {0}", "not found"), ("sh '", "cannot be read"), (" ", "is empty")]
)
def test_a_shell_that_cannot_be_used_ends_the_step(run, named, said):
    outcome = run("true", shell=named)
    assert outcome.error.reason == "aborted"
    assert said in outcome.error.message


def test_a_step_names_its_directory(run, a_step, runtime, tmp_path):
    (tmp_path / "below").mkdir()
    out = run('echo "dir=$PWD" >> $TRIB_OUTPUT', dir=str(tmp_path))
    assert shell.json.loads(out.result) == {"dir": str(tmp_path)}
    registry = Registry()
    shell.add_to(registry, directory=str(tmp_path))
    step = a_step(payload='{"run": "touch made", "dir": "below"}')
    assert asyncio.run(execute_async(registry.get(shell.NAME), step._attempt, step)) == Completed("{}")
    assert (tmp_path / "below" / "made").exists()
    outcome = run("true", dir="nowhere")
    assert outcome.error.reason == "aborted"
    assert "does not exist" in outcome.error.message


def test_what_a_killed_worker_left_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f"{scratch.PREFIX}left"
    (left / "work").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(tmp_path / "mine")
    with scratch.scratch() as used:
        shell.add_to(Registry())
        assert used.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", f"{scratch.PREFIX}link"]


def test_scratch_is_removed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run('touch here; echo "dir=$PWD" >> $TRIB_OUTPUT').result.startswith('{"dir":"' + str(tmp_path))
    assert run("exit 3").error.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_directory_may_be_given(a_step, runtime, tmp_path):
    registry = Registry()
    shell.add_to(registry, directory=str(tmp_path))
    step = a_step(payload='{"run": "touch made"}')
    assert asyncio.run(execute_async(registry.get(shell.NAME), step._attempt, step)) == Completed("{}")
    assert (tmp_path / "made").exists()


def test_a_timeout_ends_the_whole_group(run, tmp_path, eventually):
    pids = tmp_path / "pids"
    outcome = run(f"sleep 300 & echo $! >> {pids}; echo $$ >> {pids}; wait", timeout=1.0)
    assert (outcome.error.reason, outcome.error.message) == ("timeout", "timed out after 1.0s")
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not alive(pid))


def test_who_ignores_sigterm_is_killed(tmp_path):
    async def stubborn():
        script = f"trap '' TERM; echo $$ > {tmp_path}/pid; while true; do sleep 0.05; done"
        task = asyncio.create_task(
            run_group(["/bin/sh", "-c", script], dict(os.environ), str(tmp_path), grace=0.2)
        )
        await appears(tmp_path / "pid")
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - start

    assert asyncio.run(stubborn()) < 5
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_term_handler_gets_its_chance(tmp_path):
    async def polite():
        script = "trap 'echo bye > bye; exit 0' TERM; echo up > up; while true; do sleep 0.02; done"
        task = asyncio.create_task(run_group(["/bin/sh", "-c", script], dict(os.environ), str(tmp_path)))
        await appears(tmp_path / "up")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(polite())
    assert (tmp_path / "bye").read_text() == "bye\n"


def test_what_is_left_in_the_background_does_not_hold_the_step(run, tmp_path, eventually):
    start = time.monotonic()
    assert isinstance(run(f"sleep 300 & echo $! > {tmp_path}/pid"), Completed)
    assert time.monotonic() - start < 20
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not alive(pid))


def test_who_left_the_group_with_the_pipes_does_not_hold_the_step_either(run, tmp_path):
    file = tmp_path / "pid"
    start = time.monotonic()
    # the shell waits until the runaway has left its group
    script = f"setsid sh -c 'echo $$ > {file}; exec sleep 30' & while [ ! -s {file} ]; do sleep 0.01; done"
    assert isinstance(run(script), Completed)
    assert time.monotonic() - start < 20
    os.kill(int(file.read_text()), signal.SIGKILL)


def test_a_cancelled_step_is_released(handler, a_step, runtime):
    async def cancelled():
        step = a_step(payload='{"run": "sleep 300"}')
        task = asyncio.create_task(execute_async(handler, step._attempt, step))
        await asyncio.sleep(0.05)
        task.cancel()
        return await task

    assert asyncio.run(cancelled()) == Released("cancelled")


def test_output_is_bounded(tmp_path):
    async def chatty():
        return await run_group(
            ["/bin/sh", "-c", "yes x | head -c 3000000; echo end; printf '\\0' >&2"], {}, str(tmp_path)
        )

    ended = asyncio.run(chatty())
    assert len(ended.stdout) <= TAIL_BYTES
    assert ended.stdout.endswith("end\n")
    assert ended.stderr == "\\x00"


def test_an_environment_that_is_too_large_is_said(run):
    outcome = run("true", env={"BIG": "x" * 500_000})
    assert outcome.error.reason == "aborted"
    assert "cannot be started" in outcome.error.message


@pytest.mark.parametrize(
    "payload", ["{}", '{"run": 1}', '{"run": "x", "env": {"A-B": 1}}', '{"run": "x", "dirs": "/"}']
)
def test_wrong_payloads_are_refused(handler, payload):
    with pytest.raises(InvalidInput):
        handler.signature.validate(payload)
