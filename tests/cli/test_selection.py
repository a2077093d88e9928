"""Commands that choose work by filters, and ``trib change``; unique and expiring submits."""

from __future__ import annotations

import json

import pytest

from tributary_daemon.app import Client


@pytest.fixture
def client(database):
    with Client(database) as opened:
        yield opened


def test_a_person_is_asked_about_what_was_found(client, answered):
    for _ in range(2):
        client.submit("t.a.v1")
    shown = answered("n", "cancel", "--name", "t.a.v1")
    assert "cancel 2? [y/N]" in shown
    assert "nothing was done" in shown
    assert len(client.list(state="waiting").items) == 2
    assert "cancelled 2" in answered("y", "cancel", "--name", "t.a.v1")
    assert len(client.list(state="cancelled").items) == 2


def test_without_a_terminal_it_takes_yes(here, client):
    for _ in range(3):
        client.submit("t.a.v1")
    looked = here("cancel", "--name", "t.%", "--dry-run")
    assert looked.stdout.startswith("would cancel 3\n")
    refused = here("cancel", "--name", "t.%")
    assert refused.returncode == 2
    assert "--dry-run shows" in refused.stderr
    done = here("cancel", "--name", "t.%", "--yes", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["done"]) == (0, 3)
    assert here("cancel", "--name", "t.%", "--yes").stdout == "nothing fits\n"


def test_what_could_not_be_done_exits_8(here, client):
    work = client.submit("t.a.v1").id
    client.cancel(work)
    done = here("cancel", "--state", "cancelled", "--yes")
    assert done.returncode == 8
    assert f"{work}: intent {work} has ended" in done.stderr
    assert done.stdout == "cancelled 0, 1 could not be\n"


def test_change_by_reference_and_by_filter(here, client):
    one, other = client.submit("t.a.v1").id, client.submit("t.a.v1", queue="q").id
    done = here("change", one, "--priority", "5", "--payload", '{"n": 1}', "-o", "json")
    assert json.loads(done.stdout) == [{"ref": one, "state": "waiting"}]
    document = client.get(one)
    assert (document.priority, document.payload) == (5, {"n": 1})
    assert here("change", "--from-queue", "q", "--queue", "r", "--yes").stdout == "changed 1\n"
    assert client.get(other).queue == "r"
    client.cancel(one)
    refused = here("change", one, "--now")
    assert refused.returncode == 8
    assert "has ended" in refused.stderr
    assert here("change", one[:-2] + "zz", "--now").returncode == 4


def test_unique_and_expiring_submits(here, client):
    submit = ("submit", "t.a.v1", "--unique", "k", "-o", "json")
    first = json.loads(here(*submit, "--expires-in", "1h").stdout)
    assert first["created"]
    debounced = ("--on-conflict", "debounce", "--in", "30s", "--max-wait", "5m", "--payload", '{"n": 2}')
    again = json.loads(here(*submit, *debounced).stdout)
    assert (again["id"], again["created"]) == (first["id"], False)
    assert client.get(first["id"]).payload == {"n": 2}
    shown = here("submit", "t.a.v1", "--unique", "k", "--unique-for", "1h")
    assert "there is one already" in shown.stdout
    late = here("submit", "t.a.v1", "--expires-at", "2001-01-01T00:00:00Z")
    assert late.returncode == 3
    assert "before it may start" in late.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cancel"], "say what: IDs, or filters"),
        (["cancel", "abcdef", "--name", "x"], "either IDs or filters"),
        (["cancel", "abcdef", "--yes"], "go with filters"),
        (["cancel", "--limit", "3", "--yes"], "say what"),
        (["retry", "--name", "x", "--watch"], "go with an ID"),
        (["retry"], "say what: an ID"),
        (["dlq", "drop"], "say what: REFs"),
        (["change", "abcdef"], "say what is to change"),
        (["change", "abcdef", "--now", "--in", "5m"], "exclude each other"),
        (["change", "--name", "x", "--payload", "{}"], "--payload goes with a REF"),
        (["submit", "t.a.v1", "--unique-for", "1h"], "say what is unique"),
        (["submit", "t.a.v1", "--unique", "k", "--unique-by", "payload"], "exclude each other"),
        (
            ["submit", "t.a.v1", "--expires-in", "1h", "--expires-at", "2030-01-01T00:00:00Z"],
            "exclude each other",
        ),
    ],
)
def test_what_does_not_go_together_exits_2(cli, arguments, words):
    said = cli(*arguments)
    assert said.code == 2
    assert words in said.err
