"""``trib schedule``: what it says, in every form, and its exit codes."""

from __future__ import annotations

import json

import pytest

WORKFLOW = """\
name: shop.report.v1
inputs:
  day: {type: string}
  copies: {type: integer, default: 1}
steps:
  a: {task: trib.noop.v1}
"""


@pytest.fixture
def cli(cli, database, monkeypatch):
    monkeypatch.setenv("TRIB_DATABASE_URL", database)
    monkeypatch.setenv("TRIB_EMBEDDED", "0")
    return cli


def shown(said):
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_from_add_to_remove(cli, tmp_path):
    (tmp_path / "report.yaml").write_text(WORKFLOW)
    assert cli("schedule", "list").out.startswith("nothing starts by itself")
    cli("register", "report.yaml")
    added = cli(
        "schedule", "add", "nightly", "--cron", "15 2 * * *", "--timezone", "Europe/Berlin",
        "--workflow", "shop.report.v1", "-i", "day=monday", "-i", "copies=3", "--catchup", "6h",
        "--jitter", "2m", "-l", "team=x", "-o", "json",
    )  # fmt: skip
    one = shown(added)
    assert one["inputs"] == {"day": "monday", "copies": 3}
    assert (one["kind"], one["catchup"], one["jitter"], one["labels"]) == ("run", 21_600, 120, {"team": "x"})
    assert len(one["next"]) == 5
    cli(
        "schedule",
        "add",
        "ping",
        "--cron",
        "*/5 * * * *",
        "--intent",
        "net.ping.v1",
        "--payload",
        '{"host": "db"}',
    )
    assert cli("schedule", "list", "-o", "name").out.split() == ["nightly", "ping"]
    assert [len(row["next"]) for row in shown(cli("schedule", "list", "--next", "2", "-o", "json"))] == [2, 2]
    table = cli("schedule", "list").out
    assert "15 2 * * *" in table
    assert "02:15:00 CE" in table
    page = cli("schedule", "show", "ping").out
    assert "intent net.ping.v1" in page
    assert "added by hand" in page
    run_id = cli("schedule", "trigger", "nightly", "-o", "name").out.strip()
    assert shown(cli("status", run_id, "-o", "json"))["labels"] == {"team": "x", "schedule": "nightly"}
    assert run_id[-8:] in cli("schedule", "show", "nightly").out
    paused = cli("schedule", "pause", "nightly", "nightli")
    assert (paused.code, paused.out.split()) == (4, ["paused", "nightly"])
    assert "did you mean 'nightly'?" in paused.err
    assert "next  trib schedule resume nightly" in cli("schedule", "show", "nightly").out
    planned = cli(
        "schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-03", "--dry-run"
    )
    assert planned.out.count("planned") == 2
    filled = cli(
        "schedule", "backfill", "nightly", "--from", "2026-01-01", "--to", "2026-01-03", "-o", "json"
    )
    assert [row["outcome"] for row in shown(filled)] == ["queued", "queued"]
    assert "`trib schedule resume nightly` lets them start" in filled.err
    assert cli("schedule", "resume", "nightly", "--catch-up").code == 0
    assert cli("schedule", "remove", "nightly", "ping").code == 0
    assert shown(cli("schedule", "list", "-o", "json")) == []


def test_what_is_wrong_is_said_with_what_to_do(cli, connection):
    add = ("schedule", "add", "s", "--intent", "net.ping.v1")
    assert "minutes are 0 to 59" in cli(*add, "--cron", "61 * * * *").err
    assert cli(*add, "--cron", "61 * * * *").code == 3
    assert "did you mean Europe/Berlin?" in cli(*add, "--cron", "@daily", "--timezone", "Berlin").err
    assert cli("schedule", "add", "s", "--cron", "@daily").code == 2
    assert "register it" in cli("schedule", "add", "s", "--cron", "@daily", "--workflow", "a.yaml").err
    assert cli("schedule", "add", "s", "--cron", "@daily", "--workflow", "a.v1").code == 4
    warned = cli(*add, "--cron", "@daily")
    assert "no worker has offered the handler 'net.ping.v1'" in warned.err
    assert cli("schedule", "show", "t").code == 4
    connection.execute("select tributary.schedule_intent('bad', 'never', 'net.ping.v1')")
    late = "next_slot = next_at - interval '1 hour', next_at = next_at - interval '1 hour'"
    connection.execute(f"update tributary.schedules set {late} where name = 's'")
    table = cli("schedule", "list").out
    assert "bad: a cron expression has 5 fields" in table
    assert "s: a slot has been due for 1h00m and nobody fires it; is a worker running?" in table
    connection.execute(
        "update tributary.schedules set state = 'disabled', error = 'no such zone' where name = 'bad'"
    )
    doctor = cli("doctor").out
    assert "bad is disabled: no such zone" in doctor
    assert "s has been due for 1h00m" in doctor
    connection.execute("update tributary.schedules set workflow = 'w.v1' where name = 's'")
    assert "s comes back when w.v1 is registered again" in cli("schedule", "remove", "s").err
