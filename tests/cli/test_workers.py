"""``trib workers`` and its commands, ``trib health``, and what ``trib doctor`` says of a fleet."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.cli import fleet_view, paint, probe
from tributary_daemon.cli.blocks import Span, Table
from tributary_daemon.errors import ConfigError
from tributary_daemon.store import membership


@pytest.fixture
def register(connection):
    """Return a function that adds the row of a worker, as if it beat."""

    def run(name="w1", *, state="running", processes=1, wanted=1, failures=()):
        worker = membership.register_worker(
            connection, name=name, host="box", pid=4711, version="0.1.0", queues=["default"],
            names=[kit.NAME], concurrency=4, failures=list(failures),
        )  # fmt: skip
        ids = [
            membership.register_process(connection, name=f"{name}/{n + 1}", pid=4712 + n, worker_id=worker)
            for n in range(processes)
        ]
        vitals = [membership.Vitals(process, 4, 100 << 20, []) for process in ids]
        membership.beat_worker(
            connection, worker, vitals, ["default"], wants_wake=True, state=state, wanted=wanted
        )
        # as of the near future: a machine under load takes its time to ask
        connection.execute(
            "update tributary.workers set beat_at = beat_at + interval '1 minute' where worker_id = %s",
            (worker,),
        )
        return worker

    return run


def _json(done, code=0):
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def findings(trib, **more):
    rows = _json(trib("doctor", "-o", "json", **more))
    return {row["message"]: row["hint"] for row in rows if row["level"] == "warn"}


def test_a_line_for_each_worker_and_one_for_each_process(trib, register, connection):
    worker = register(processes=2, wanted=3)
    connection.execute(
        "update tributary.processes set current = %s where name = 'w1/2'",
        ('[{"id": "i", "ordinal": 0, "name": "a.b.v1", "since": "2026-11-24T10:00:00+00:00"}]',),
    )
    shown = trib("workers").stdout.splitlines()
    assert re.match(
        r"w1 +running +4711 +0/8 +200 MiB .* box +default +0.1.0 +1 of 3 processes missing", shown[1]
    )
    assert re.match(r"  w1/1 +4712 +0/4 +100 MiB", shown[2])
    assert "a.b.v1 " in shown[3]
    assert len(trib("workers", "--brief").stdout.splitlines()) == 2
    (row,) = _json(trib("workers", "-o", "json"))
    assert row["id"] == str(worker)
    assert {"host", "version", "pid", "state", "command", "beat_age", "wanted", "protocol"} <= set(row)
    process = row["processes"][1]
    assert (process["pid"], process["slots"], process["running"], process["rss"]) == (4713, 4, 0, 100 << 20)
    assert process["current"][0] == {
        "id": "i", "ordinal": 0, "name": "a.b.v1", "since": "2026-11-24T10:00:00.000000Z",
    }  # fmt: skip
    assert trib("workers", "-o", "name").stdout == "w1\n"


def test_commands_say_who_was_told(trib, register, connection):
    register("a")
    register("b")
    done = trib("workers", "pause", "a", "b")
    assert (done.returncode, done.stdout) == (0, "told to pause  a  on box\ntold to pause  b  on box\n")
    assert "running, pause" in trib("workers").stdout
    assert [row["command"] for row in _json(trib("workers", "resume", "a", "-o", "json"))] == ["resume"]
    done = trib("workers", "drain", "nobody", "a")
    assert done.returncode == 4
    assert "told to drain  a" in done.stdout
    assert "error: there is no worker 'nobody'" in done.stderr
    assert "hint: list them: trib workers" in done.stderr
    done = trib("workers", "resume", "a")
    assert done.returncode == 8
    assert "cannot be undone" in done.stderr
    assert trib("workers", "stop", "a").returncode == 0
    assert connection.execute("select name, command from tributary.workers order by name").fetchall() == [
        ("a", "stop"), ("b", "pause"),
    ]  # fmt: skip


def test_waiting_ends_in_time(trib, register, connection):
    register("a")
    done = trib("workers", "pause", "a", "--wait", "--timeout", "300ms")
    assert done.returncode == 5
    assert "a has not done so within 300ms" in done.stderr
    connection.execute("update tributary.workers set state = 'paused'")
    done = trib("workers", "pause", "a", "--wait")
    assert (done.returncode, done.stdout) == (0, "paused  a  on box\n")
    assert trib("workers", "pause", "a", "--timeout", "1s").returncode == 2
    assert trib("workers", "pause").returncode == 2
    assert "did you mean pause" in trib("workers", "pose", "a").stderr


def test_a_worker_is_drained_for_real(trib, worker):
    running = worker("--name", "real", "--processes", "1")
    done = trib("workers", "drain", "real", "--wait", "--timeout", "20s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("drained  real  on ")
    assert running.process.wait(20) == 0
    assert _json(trib("workers", "-o", "json")) == []


def test_numbers_are_never_cut(capsys):
    class Narrow:
        width = 60

    table = Table(
        ("a", "number", "what"), ((Span("x"), Span("123456"), Span("y" * 90)),), giving=frozenset({"what"})
    )
    widths = paint._widths(table, Narrow())
    assert widths["number"] == 6
    assert sum(widths.values()) + 7 == 60
    assert fleet_view.workers([], brief=False)[0].empty.startswith("no worker has registered")


# --- health -------------------------------------------------------------------------------------------


def test_health_of_a_worker_and_of_nobody(trib, worker):
    running = worker("--name", "well", "--processes", "1", "--health", "127.0.0.1:0")
    address = re.search(r'"address": "([^"]+)"', running.log())[1]
    done = trib("health", address)
    assert done.returncode == 0
    assert done.stdout.startswith("ready  well, running")
    env = {"TRIB_HEALTH_LISTEN": address, "TRIB_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}
    assert _json(trib("health", "--live", "-o", "json", env=env))["status"] == "live"
    assert trib("health", f"http://{address}/healthz", "-o", "name").stdout == "live\n"
    assert any("is paused" in message for message in _paused(trib, address))
    done = trib("health", address)
    assert done.returncode == 1
    assert done.stdout.startswith("not ready  well, paused")
    assert "`trib workers resume well`" in done.stdout
    assert trib("health", f"{address}/nowhere").returncode == 1
    running.stop()
    done = trib("health", address, "-o", "json")
    assert _json(done, 1)["status"] == "no answer"


def _paused(trib, address):
    assert trib("workers", "pause", "well", "--wait", "--timeout", "20s").returncode == 0
    found = findings(trib, env={"TRIB_HEALTH_LISTEN": address})
    assert any("is not ready: an operator has paused it" in message for message in found)
    return found


def test_health_needs_an_address(trib):
    done = trib("health")
    assert done.returncode == 2
    assert "TRIB_HEALTH_LISTEN" in done.stderr
    done = trib("health", env={"TRIB_HEALTH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 2
    assert "the worker chose its port" in done.stderr
    assert trib("health", "https://127.0.0.1:80").returncode == 2
    done = trib("worker", env={"TRIB_HEALTH_LISTEN": "8080"})
    assert done.returncode == 2
    assert "health_listen from TRIB_HEALTH_LISTEN: '8080': HOST:PORT is expected" in done.stderr


def test_targets_of_a_probe():
    assert probe.target("0.0.0.0:80", "/readyz") == ("127.0.0.1", 80, "/readyz")
    assert probe.target("[::]:80", "/readyz") == ("::1", 80, "/readyz")
    assert probe.target("http://box/", "/healthz") == ("box", 80, "/healthz")
    assert probe.target("HTTP://box:81/x?y#z", "/healthz") == ("box", 81, "/x")
    for wrong in ("", "http://", "ftp://box:1", "http://me:pw@box:80/", "box:80/a b"):
        with pytest.raises(ConfigError):
            probe.target(wrong, "/readyz")


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n[1]"]
)
def test_what_answers_may_be_something_else(reply):
    answer = probe._read(reply)
    assert answer.document == {}
    assert answer.fault.startswith("what answers there")


def test_a_probe_does_not_wait_for_ever():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        answer = probe.ask("127.0.0.1", mute.getsockname()[1], "/readyz", 0.1)
    assert (answer.status, answer.well) == (None, False)
    assert answer.fault


# --- doctor -------------------------------------------------------------------------------------------


def test_doctor_names_workers_that_need_a_look(trib, register, connection):
    register("calm", state="paused")
    register("leaving", state="draining")
    register("short", wanted=3, failures=[{"module": "shop", "names": [], "error": "no"}])
    silent = register("mute")
    connection.execute(
        "update tributary.workers set beat_at = beat_at - interval '102 seconds' where worker_id = %s",
        (silent,),
    )
    connection.execute("update tributary.workers set version = '0.0.9', protocol = 0 where name = 'calm'")
    found = findings(trib)
    assert found["calm is paused and claims nothing"] == "`trib workers resume calm`"
    assert "leaving drains: 0 still run" in found
    assert "short has 1 of 3 processes" in found
    assert "short cannot import shop" in found
    assert any(re.match(r"mute on box fell silent [4-9]\d\.\ds ago", message) for message in found)
    assert "0.0.9, 0.1.0 work side by side" in found
    assert any(message.startswith("calm speaks protocol 0") for message in found)
    assert "nobody leads: nothing is rescued" in found
    assert all(found.values())


def test_doctor_names_work_that_nobody_takes(trib, register, connection):
    register()
    kit.offer(connection, kit.NAME, "gone.away.v1")
    kit.intent(connection, "never.offered.v1")
    kit.intent(connection, "gone.away.v1")
    kit.intent(connection, queue="unserved")
    connection.execute("update tributary.steps set seq = seq - 120000000 where state = 'available'")
    found = findings(trib)
    assert "work waits under names that nobody has ever offered: never.offered.v1" in found
    assert "work is ready under names that no live worker claims: gone.away.v1" in found
    assert "work waits where no worker serves: unserved" in found
    assert any(re.match(r"in \w+ work has been ready for 2m\d+s", message) for message in found)
