"""`trib` under each role: what it may do is done, what it may not ends with exit code 7 and says so."""

from __future__ import annotations

import asyncio
import json
from subprocess import CompletedProcess

import psycopg
import pytest

from tests.membership import KINDS, logins
from tests.store.protocol_kit import offer, scalar
from tributary_daemon.app import AsyncClient, Client
from tributary_daemon.cli.main import main
from tributary_daemon.errors import DatabaseError

FLOW = "name: t.flow.v1\nsteps:\n  one: {task: t.work.v1}\n"
LOOKING = ("read", "app", "worker", "admin")
SUBMITTING = ("submit", "app", "worker", "admin")
# by whom; {intent} and {run} wait, {file} is a workflow
COMMANDS = {
    "submit t.work.v1 --payload {{}}": SUBMITTING,
    "submit t.flow.v1": SUBMITTING,
    "submit t.work.v1 --payload {{}} --key once": SUBMITTING,
    "submit trib.sql.v1 -i sql=select": ("worker", "admin"),
    "submit {file}": ("admin",),
    "register {file}": ("admin",),
    "list": LOOKING,
    "status {intent}": LOOKING,
    "status {run}": LOOKING,
    "why {run}": LOOKING,
    "events {run}": LOOKING,
    "logs {run}": LOOKING,
    "graph {run}": LOOKING,
    "dlq list": LOOKING,
    "queue list": LOOKING,
    "schedule list": LOOKING,
    "workers": LOOKING,
    "handlers": KINDS,
    "change {intent} --priority 3": ("app", "admin"),
    "cancel {intent}": ("app", "worker", "admin"),
    "pause {run}": ("app", "admin"),
    "queue pause default": ("admin",),
    "queue set default --concurrency 3": ("admin",),
    "tenant list": LOOKING,
    "tenant set acme --concurrency 3": ("admin",),
    "tenant unbind nobody_here": ("admin",),
    "schedule add s --cron @daily --intent t.work.v1": ("admin",),
    "prune --older-than 1d": ("worker", "admin"),
    "migrate roles": (),
    "migrate down": (),
}


@pytest.fixture(scope="module")
def urls(server, template):
    with logins(server, template) as found:
        yield found


@pytest.fixture
def known(urls, tmp_path):
    """Names of what the commands are about."""
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW)
    with psycopg.connect(urls["owner"], autocommit=True) as owner, Client(urls["owner"]) as client:
        offer(owner, "t.work.v1")
        client.register(str(file))
        file.write_text(FLOW + "labels: {again: yes}\n")
        return {
            "file": str(file),
            "run": scalar(owner, "select tributary.submit_workflow('t.flow.v1')"),
            "intent": scalar(owner, "select tributary.submit_intent('t.work.v1')"),
        }


@pytest.fixture
def trib_as(urls, monkeypatch, capsys, tmp_path):
    """Return a function that does what `trib` does as one of the roles, in this process."""
    monkeypatch.setenv("TRIB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRIB_EMBEDDED", "0")

    def run(kind, words):
        monkeypatch.setenv("TRIB_DATABASE_URL", urls[kind])
        capsys.readouterr()
        return CompletedProcess(words, main(words), *capsys.readouterr())

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_do_what(trib_as, known, kind):
    wrong = []
    for command, allowed in COMMANDS.items():
        said = trib_as(kind, command.format(**known).split())
        if kind in allowed and said.returncode != 0:
            wrong.append(f"{command}: exit {said.returncode}, {said.stderr}")
        elif kind not in allowed and (said.returncode != 7 or "permission" not in said.stderr):
            wrong.append(f"{command}: not refused with 7 but {said.returncode}, {said.stderr}")
    assert wrong == []


def test_many_submits_need_no_right_to_the_tables(urls, known):
    """Where COPY is not allowed, a function records them, in order."""
    payloads = [{"n": number} for number in range(1_500)]
    with Client(urls["submit"]) as client:
        ids = client.submit_many("t.work.v1", payloads, queue="many", priority=3)

    async def again():
        async with AsyncClient(urls["submit"]) as client:
            return await client.submit_many("t.work.v1", payloads[:3], queue="many", priority=3)

    ids += asyncio.run(again())
    with psycopg.connect(urls["owner"]) as owner:
        found = owner.execute(
            "select intent_id::text, payload ->> 'n', priority from tributary.workflow_intent"
            " where intent_id = any(%s::uuid[])",
            ([str(one) for one in ids],),
        ).fetchall()
    wanted = [*range(1_500), *range(3)]
    assert {row[0]: int(row[1]) for row in found} == dict(zip(map(str, ids), wanted, strict=True))
    assert {row[2] for row in found} == {97}
    with Client(urls["submit"]) as client, pytest.raises(DatabaseError, match="rights of a worker"):
        client.submit_many("trib.sql.v1", [{"sql": "select 1"}])


def test_a_submitter_learns_nothing_by_a_known_key(urls, known):
    """The reply to a known key is an id and a state, not what somebody else has submitted or got."""
    with Client(urls["admin"]) as client:
        first = client.submit("t.work.v1", {"card": "4111"}, idempotency_key="k")
    with Client(urls["submit"]) as client:
        second = client.submit("t.work.v1", {}, idempotency_key="k")
    assert (second.id, second.created) == (first.id, False)
    assert "4111" not in repr(second)


def test_the_roles_command_prints_what_it_would_do(trib_as, urls):
    said = trib_as("owner", ["migrate", "roles", "--submit", "x y", "--dry-run"])
    assert said.returncode == 0, said.stderr
    assert 'CREATE ROLE "x y" NOLOGIN' in said.stdout
    assert "would be granted: x y, tributary_read" in said.stderr
    again = trib_as("owner", ["migrate", "roles", "--submit", "a", "--read", "a", "--dry-run"])
    assert again.returncode != 0
    assert "as many names" in again.stderr


def test_the_answers_of_a_reader_are_whole(trib_as, known):
    said = trib_as("read", ["status", str(known["run"]), "-o", "json"])
    assert list(json.loads(said.stdout)["steps"]) == ["one"]
