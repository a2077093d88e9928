"""docs/protocol.md: its worker in psql and shell does what it says, and its tables are complete."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.store import protocol_kit as kit

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
NAME = "shell.echo.v1"


@pytest.fixture
def psql_worker(database, tmp_path, connection):
    """Return a function that starts the document's worker with a command; killed with all it started."""
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    script = tmp_path / "worker.sh"
    script.write_text(re.search(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1])
    started = []

    def start(*command):
        process = subprocess.Popen(
            ["sh", str(script), database, "default", NAME, *command],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        said = re.fullmatch(r"process (\d+)\n", process.stderr.readline())
        assert said, process.stderr.read()
        return process, int(said[1])

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        process.stderr.close()
    kit.check_invariants(connection)


def intent_of(connection, run_id):
    return connection.execute(
        "select status, attempt_count, result, last_error"
        " from tributary.workflow_intent where intent_id = %s",
        (run_id,),
    ).fetchone()


def test_the_worker_is_a_few_dozen_lines():
    assert len(re.search(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1].splitlines()) < 50


def test_it_completes_intents(connection, psql_worker, eventually):
    payloads = ['{"text": "a|b \\\\ \'c\' \\"d\\" $HOME"}', "[1, 2]", '"x"', "null", "{}"]
    ids = [
        kit.scalar(connection, "select tributary.submit_intent(%s, %s::jsonb)", NAME, payload)
        for payload in payloads
    ]
    psql_worker("cat")
    eventually(lambda: all(intent_of(connection, one)[0] == "succeeded" for one in ids), what="all succeeded")
    for one in ids:
        result, payload = connection.execute(
            "select result, payload from tributary.workflow_intent where intent_id = %s", (one,)
        ).fetchone()
        assert result == payload


def test_it_fails_intents(connection, psql_worker, eventually):
    intent = kit.intent(connection, NAME, max_attempts=2, retry='{"backoff": "fixed", "delay": 0}')
    psql_worker("sh", "-c", 'echo "it\'s broken" >&2; exit 3')
    eventually(lambda: intent_of(connection, intent)[0] == "deadletter", what="discarded after two attempts")
    assert intent_of(connection, intent) == ("deadletter", 2, None, "it's broken")


def test_a_result_that_is_no_json_fails_the_attempt(connection, psql_worker, eventually):
    intent = kit.intent(connection, NAME, max_attempts=1)
    psql_worker("echo", "not json")
    eventually(lambda: intent_of(connection, intent)[0] == "deadletter", what="discarded")
    assert "invalid input syntax for type json" in intent_of(connection, intent)[3]


def test_killed_in_the_middle_its_intent_runs_again_and_its_late_finish_is_refused(
    connection, psql_worker, eventually, tmp_path
):
    intent = kit.intent(connection, NAME)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    victim, number = psql_worker("cat", str(gate))
    eventually(lambda: intent_of(connection, intent)[0] == "running", what="the intent runs")
    token = kit.row(connection, intent)["seq"]
    assert kit.row(connection, intent)["process_id"] == number
    victim.kill()
    victim.wait(10)
    assert kit.rescue(connection) == 0
    # its heartbeat ends with it, so the lease does
    eventually(lambda: kit.rescue(connection) == 1, timeout=30, what="the lease ends")
    late = "select tributary.finish(%s, %s, %s, %s)"
    assert kit.scalar(connection, late, number, intent, token, "completed") is False

    psql_worker("cat")
    eventually(lambda: intent_of(connection, intent)[0] == "succeeded", what="it runs again")
    assert intent_of(connection, intent)[1] == 2
    for outcome in ("completed", "retry", "discarded", "released", "snoozed"):
        assert kit.scalar(connection, late, number, intent, token, outcome) is False
    assert intent_of(connection, intent) == (
        "succeeded",
        2,
        {},
        "the process that ran this attempt stopped beating",
    )


def test_a_fenced_worker_stops(connection, psql_worker, eventually):
    process, number = psql_worker("cat")
    connection.execute("delete from tributary.processes where process_id = %s", (number,))
    eventually(lambda: process.poll() is not None, what="the worker ends")
    assert "is not registered" in process.stderr.read()


def test_every_public_function_and_outcome_is_documented():
    public = {
        path.stem
        for path in (ROOT / "sql" / "functions").glob("*.sql")
        if path.read_text(encoding="utf-8").startswith("-- Public.") and not path.stem.startswith("view_")
    }
    assert {name for name in public if not re.search(rf"`{name}\b|### {name}\b", PAGE)} == set()
    for word in ("completed", "retry", "discarded", "snoozed", "released"):
        assert re.search(rf"^\| `{word}`", PAGE, re.MULTILINE)


def test_every_sqlstate_that_functions_raise_is_documented():
    raised = {
        state
        for path in (ROOT / "sql" / "functions").glob("*.sql")
        for state in re.findall(r"errcode = '(\w+)'", path.read_text(encoding="utf-8"))
    }
    assert {state for state in raised if f"`{state}`" not in PAGE} == set()


class TestPublicCalls:
    @pytest.fixture
    def member(self, connection):
        return kit.scalar(connection, "select tributary.register_process('p', names => array[%s])", NAME)

    @pytest.fixture
    def claim(self, connection, member):
        def take():
            return connection.execute(
                "select run_id::text, token, attempt from tributary.claim(%s, '{default}', array[%s])",
                (member, NAME),
            ).fetchone()

        return take

    def finish(self, connection, *arguments, **named):
        given = [*["%s"] * len(arguments), *(f"{name} => %({name})s" for name in named)]
        sql = f"select tributary.finish({', '.join(given)})"
        for argument in arguments:
            sql = sql.replace("%s", f"'{argument}'" if isinstance(argument, str) else str(argument), 1)
        return connection.execute(sql, named).fetchone()[0]

    def test_finish_with_each_outcome(self, connection, member, claim):
        intent = kit.intent(connection, NAME)
        expected = {"released": "pending", "snoozed": "pending", "retry": "failed", "completed": "succeeded"}
        for outcome, status in expected.items():
            run, token, _ = claim()
            assert self.finish(connection, member, run, token, outcome, delay="0 s") is True
            assert self.finish(connection, member, run, token, outcome) is False
            assert intent_of(connection, intent)[0] == status
        assert intent_of(connection, intent)[1] == 2

    def test_a_snooze_without_a_delay_waits_a_minute(self, connection, member, claim):
        intent = kit.intent(connection, NAME)
        run, token, _ = claim()
        assert self.finish(connection, member, run, token, "snoozed")
        wait = kit.scalar(
            connection, "select run_at - clock_timestamp() from tributary.steps where run_id = %s", intent
        )
        assert 55 < wait.total_seconds() <= 60

    def test_release_gives_back(self, connection, member, claim):
        kit.intent(connection, NAME)
        run, token, _ = claim()
        assert kit.scalar(connection, "select tributary.release(%s, %s, %s)", member, run, token) is True
        assert claim()[2] == 1

    def test_an_unknown_outcome_and_a_large_result_are_refused(self, connection, member, claim):
        kit.intent(connection, NAME)
        run, token, _ = claim()
        for arguments in ({"outcome": "done"}, {"result": '["' + "x" * 2_000_000 + '"]'}):
            with pytest.raises(psycopg.Error) as caught:
                self.finish(connection, member, run, token, **arguments)
            assert caught.value.sqlstate == "TR001"
        assert self.finish(connection, member, run, token)

    def test_nonsense_tokens_are_refused_not_raised(self, connection, member, claim):
        kit.intent(connection, NAME)
        run, token, _ = claim()
        assert self.finish(connection, member, run, token + 1) is False
        assert self.finish(connection, member, "01900000-0000-7000-8000-000000000000", token) is False
        assert kit.scalar(connection, "select tributary.finish(%s, null, null)", member) is False

    def test_steps_of_runs_are_not_handed_to_other_languages(self, connection, claim):
        kit.start(connection, kit.workflow("w.v1", {"a": {"name": NAME}}))
        assert claim() is None
