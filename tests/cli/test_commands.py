"""Commands against a database, without a worker."""

from __future__ import annotations

import json

import pytest

from tributary_daemon.cli.main import main

WORKFLOW = """\
name: shop.order.v1
labels: {team: shop}
inputs: {amount: {type: integer}, note: {type: string, default: none}}
steps:
  pick: {task: shop.pick.v1, with: {amount: "${{ inputs.amount }}"}}
  pack: {task: shop.pack.v1, needs: pick}
  bill: {task: shop.bill.v1, needs: pick}
  ship: {task: shop.ship.v1, needs: [pack, bill]}
"""


@pytest.fixture
def order(tmp_path):
    path = tmp_path / "order.yaml"
    path.write_text(WORKFLOW)
    return path


def _json(done, code=0):
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_file_becomes_a_run_with_typed_inputs(trib, order):
    receipt = _json(trib("submit", order, "-i", "amount=3", "-i", "note=7", "-l", "env=prod", "-o", "json"))
    assert receipt["kind"] == "run"
    assert set(receipt) >= {"id", "kind", "name", "state", "created"}
    status = _json(trib("status", receipt["id"][-8:], "-o", "json"))
    assert status["inputs"] == {"amount": 3, "note": "7"}
    assert status["labels"] == {"team": "shop", "env": "prod"}
    assert list(status["steps"]) == ["pick", "pack", "bill", "ship"]
    assert status["steps"]["ship"]["needs"] == ["pack", "bill"]
    shown = trib("status", "@latest").stdout
    assert "└─ · ship" in shown
    assert "after pack, bill" in shown


def test_a_workflow_from_standard_input(trib):
    receipt = _json(trib("submit", "-", "-i", "amount=3", "-o", "json", input=WORKFLOW))
    assert receipt["name"] == "shop.order.v1"


def test_a_registered_name_types_inputs_too(trib, order):
    rows = _json(trib("register", order, "-o", "json"))
    assert [(row["name"], row["change"]) for row in rows] == [("shop.order.v1", "created")]
    assert "unchanged  shop.order.v1" in trib("register", order).stdout
    receipt = _json(trib("submit", "shop.order.v1", "-i", "amount=3", "-i", "note=7", "-o", "json"))
    assert receipt["kind"] == "run"
    assert _json(trib("status", receipt["id"], "-o", "json"))["inputs"] == {"amount": 3, "note": "7"}
    order.write_text(WORKFLOW.replace("bill: {", "bill: {priority: 3, "))
    assert trib("register", order, "--strict").returncode == 3
    done = trib("register", order)
    assert "revised" in done.stdout
    assert "warning: " in done.stderr


def test_a_dry_run_stores_nothing(trib, order, connection):
    plan = _json(trib("submit", order, "-i", "amount=3", "--dry-run", "-o", "json"))
    assert plan["inputs"]["amount"] == 3
    assert trib("submit", order, "-i", "amount=3", "--dry-run").returncode == 0
    assert connection.execute("select count(*) from tributary.steps").fetchone() == (0,)


def test_options_of_a_submit_reach_the_row(trib, connection):
    arguments = ["--queue", "heavy", "--priority", "7", "--max-attempts", "5", "--in", "1h", "-o", "name"]
    identifier = trib("submit", "a.b.v1", *arguments).stdout.strip()
    row = connection.execute(
        "select queue, priority, max_attempts, run_at - created_at > interval '59 minutes'"
        " from tributary.steps where run_id = %s",
        (identifier,),
    ).fetchone()
    assert row == ("heavy", 7, 5, True)


def test_list_filters_and_pages(trib, order):
    run = trib("submit", order, "-i", "amount=1", "-l", "env=prod", "-o", "name").stdout.strip()
    intents = [trib("submit", "a.b.v1", "-o", "name").stdout.strip() for _ in range(3)]
    rows = _json(trib("list", "-o", "json"))
    assert [row["id"] for row in rows] == [*reversed(intents), run]
    assert [row["id"] for row in _json(trib("list", "--kind", "run", "-o", "json"))] == [run]
    assert [row["id"] for row in _json(trib("list", "-l", "env=prod", "-o", "json"))] == [run]
    assert trib("list", "--name", "a.b.v1", "-o", "name").stdout.split() == [*reversed(intents)]
    assert _json(trib("list", "--since", "1h", "--state", "completed", "-o", "json")) == []
    first = trib("list", "--limit", "2", "-o", "name")
    assert first.stdout.split() == [intents[2], intents[1]]
    cursor = first.stderr.split()[-1]
    assert trib("list", "--limit", "2", "--after", cursor, "-o", "name").stdout.split() == [intents[0], run]
    table = trib("list").stdout.splitlines()
    assert table[0].split()[:4] == ["id", "kind", "name", "state"]
    assert table[1].split()[0] == intents[2][-8:]
    assert len(trib("list", "-o", "jsonl").stdout.splitlines()) == 4
    assert "no runs or intents fit" in trib("list", "--state", "failed").stdout


@pytest.fixture
def behind_many(connection):
    """One intent of tenant acme, behind more of others than one call looks at."""
    connection.execute(
        """insert into tributary.steps
               (run_id, seq, created_at, finished_at, ordinal, kind, state, shard, name)
           select tributary.new_id(), n, now(), now(), 0, 'intent', 'completed', 0, 'a.b.v1'
           from generate_series(1, 50001) as n"""
    )
    connection.execute("update tributary.steps set tenant_id = 'acme' where seq = 1")


@pytest.mark.usefixtures("behind_many")
def test_a_list_goes_on_where_a_page_ends_early(database, monkeypatch, capsys):
    # in this process, as a busy machine takes longer than a person is let wait
    monkeypatch.setattr("tributary_daemon.cli.commands.list._PATIENCE", 60.0)
    monkeypatch.setenv("TRIB_DATABASE_URL", database)
    monkeypatch.setenv("TRIB_TENANT", "acme")
    assert main(["list", "--limit", "5", "-o", "name"]) == 0
    said = capsys.readouterr()
    assert len(said.out.split()) == 1
    assert said.err == ""


@pytest.mark.usefixtures("behind_many")
def test_a_list_says_when_it_has_not_looked_at_everything(database, trib, monkeypatch, capsys):
    # in this process, as a history that takes a second to look at takes a minute to make
    monkeypatch.setattr("tributary_daemon.cli.commands.list._PATIENCE", -1.0)
    monkeypatch.setenv("TRIB_DATABASE_URL", database)
    monkeypatch.setenv("TRIB_TENANT", "acme")
    assert main(["list", "--limit", "5"]) == 0
    said = capsys.readouterr()
    assert "none of those looked at fits" in said.out
    assert "only part of the history was looked at" in said.err
    rest = trib("list", "--after", said.err.split()[-1], "-o", "name", env={"TRIB_TENANT": "acme"})
    assert len(rest.stdout.split()) == 1
    assert rest.stderr == ""


def test_why_names_the_missing_worker(trib):
    trib("submit", "a.b.v1")
    done = trib("why", "@latest")
    assert done.returncode == 0, done.stderr
    assert "a.b.v1" in done.stdout
    assert "worker" in done.stdout
    assert _json(trib("why", "@latest", "-o", "json"))["id"]


def test_why_names_the_needs_of_a_blocked_step(trib, order):
    trib("submit", order, "-i", "amount=1")
    done = trib("why", "@latest", "ship")
    assert done.returncode == 0, done.stderr
    assert "pack" in done.stdout
    assert "bill" in done.stdout
    assert trib("why", "@latest", "nosuch").returncode == 4


def test_rerun_makes_another_run_of_the_same(trib, order):
    first = trib("submit", order, "-i", "amount=3", "--key", "k", "-o", "name").stdout.strip()
    receipt = _json(trib("rerun", first[-8:], "-o", "json"))
    assert receipt["id"] != first
    assert receipt["created"] is True
    assert _json(trib("status", receipt["id"], "-o", "json"))["inputs"]["amount"] == 3


def test_retry_of_a_cancelled_run(trib, order):
    identifier = trib("submit", order, "-i", "amount=3", "-o", "name").stdout.strip()
    assert trib("retry", identifier).returncode == 8
    assert trib("cancel", identifier).returncode == 0
    answer = _json(trib("retry", identifier, "--from", "pick", "-o", "json"))
    assert answer["id"] == identifier
    assert _json(trib("status", identifier, "-o", "json"))["state"] in {"available", "waiting", "running"}


def test_queues_are_paused_and_resumed(trib):
    assert trib("queue", "pause", "heavy", "media").stdout == "paused  heavy\npaused  media\n"
    rows = {row["name"]: row["paused"] for row in _json(trib("queue", "list", "-o", "json"))}
    assert rows["heavy"]
    assert rows["media"]
    assert not rows["default"]
    assert trib("queue", "resume", "heavy", "-o", "name").stdout == "heavy\n"
    assert "media" in trib("queue", "list").stdout


def test_without_anything_lists_say_so(trib):
    assert trib("dlq", "list").stdout == "no dead letters\n"
    assert _json(trib("dlq", "list", "-o", "json")) == []
    assert "no worker has registered" in trib("workers").stdout
    assert _json(trib("workers", "-o", "json")) == []
    assert "no worker has offered" in trib("handlers").stdout
    assert _json(trib("handlers", "-o", "json")) == []
    assert trib("events").stdout == "no events\n"


def test_events_of_nothing_are_not_found(trib):
    done = trib("events", "01234567-89ab-7def-8123-456789abcdef")
    assert done.returncode == 4
    assert "no run or intent has the id" in done.stderr


def test_queues_are_limited(trib):
    done = trib("queue", "set", "heavy", "media", "--concurrency", 4, "--rate", "5000/h")
    assert done.stdout == "heavy  at most 4 at once, 5000/h\nmedia  at most 4 at once, 5000/h\n"
    assert trib("queue", "set", "media", "--rate", "none", "-o", "json").stdout
    rows = {row["name"]: row for row in _json(trib("queue", "list", "-o", "json"))}
    assert (rows["media"]["concurrency"], rows["media"]["rate"]) == (4, None)
    table = trib("queue", "list").stdout
    assert "0/4 at once, 5000/h" in table
    assert "no worker has sampled the queues yet" in table
    assert trib("queue", "set", "media", "--concurrency", "none").stdout == "media  no limit\n"


@pytest.mark.parametrize("wrong", [(), ("--concurrency", "0"), ("--concurrency", "many"), ("--rate", "fast")])
def test_what_is_no_limit_of_a_queue_is_a_usage_error(trib, wrong):
    done = trib("queue", "set", "heavy", *wrong)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_a_queue_that_cannot_exist_is_not_paused(trib):
    done = trib("queue", "pause", "heavy:4")
    assert done.returncode == 3
    assert "another meaning" in done.stderr
    assert not any(row["paused"] for row in _json(trib("queue", "list", "-o", "json")))


def test_events_of_an_intent(trib):
    identifier = trib("submit", "a.b.v1", "-o", "name").stdout.strip()
    trib("cancel", identifier)
    rows = _json(trib("events", identifier, "-o", "json"))
    assert rows
    assert all(row["id"] == identifier for row in rows)
    assert any("cancel" in row["type"] for row in rows)
    assert identifier[-8:] in trib("events").stdout


def test_migrate_up_and_down_and_back(trib, empty_database):
    url = ("--database-url", empty_database)
    dry = trib("migrate", "up", "--dry-run", *url)
    assert dry.returncode == 0, dry.stderr
    assert "create table" in dry.stdout.lower()
    assert trib("migrate", "version", *url).stdout == "no migration is applied\n"
    up = trib("migrate", "up", *url)
    assert up.returncode == 0, up.stderr
    assert up.stdout == ""
    rows = _json(trib("migrate", "status", "-o", "json", *url))
    assert {row["state"] for row in rows} == {"applied"}
    newest = trib("migrate", "version", "-o", "name", *url).stdout.strip()
    assert newest == rows[-1]["name"]
    assert trib("migrate", "missing", *url).stdout == "none is missing\n"
    assert "applied" in trib("migrate", "status", *url).stdout
    assert "nothing to be applied" in trib("migrate", "up", *url).stderr
    down = trib("migrate", "down", *url)
    assert down.returncode == 0, down.stderr
    assert {row["state"] for row in _json(trib("migrate", "status", "-o", "json", *url))} == {"pending"}
    assert trib("migrate", "up-to", rows[0]["name"], *url).returncode == 0
    assert trib("list", *url).returncode == 7
    assert trib("list", "--auto-migrate", *url).returncode == 0


def test_migrations_of_your_own(trib, tmp_path, connection):
    made = _json(trib("migrate", "create", "add_orders", "--dir", "own", "-o", "json"))
    assert len(made) == 2
    for name in made:
        (tmp_path / name).write_text(
            "create table orders (id int);\n" if name.endswith(".up.sql") else "drop table orders;\n"
        )
    done = trib("migrate", "up", "--dir", "own", "--table", "shop_migrations")
    assert done.returncode == 0, done.stderr
    assert connection.execute("select to_regclass('public.orders') is not null").fetchone() == (True,)
    assert trib("migrate", "down", "--dir", "own", "--table", "shop_migrations").returncode == 0
    assert trib("migrate", "up", "--dir", "nowhere").returncode == 2


def test_doctor_says_what_to_mend(trib):
    done = trib("doctor")
    assert done.returncode == 0, done.stderr
    assert "warn  workers" in done.stdout
    assert "start one: `trib worker`" in done.stdout
    rows = {row["check"]: row["level"] for row in _json(trib("doctor", "-o", "json"))}
    assert {"python", "settings", "handlers", "database", "server", "clock", "connections", "schema"} <= set(
        rows
    )
    assert rows["schema"] == "ok"
    trib("queue", "pause", "default")
    assert "paused: default" in trib("doctor").stdout


def test_doctor_changes_nothing(trib, empty_database):
    done = trib("doctor", "--database-url", empty_database)
    assert done.returncode == 0, done.stderr
    assert "not there yet" in done.stdout
    done = trib("doctor", "--database-url", empty_database, "--no-auto-migrate")
    assert done.returncode == 7
    assert "fail  schema" in done.stdout


def test_doctor_names_modules_that_do_not_import(trib, tmp_path):
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n")
    done = trib("doctor", env={"TRIB_HANDLERS": "./broken.py"})
    assert "warn  handlers" in done.stdout
    assert "no_such_module_anywhere" in done.stdout


def test_events_are_followed_to_the_end_of_their_work(trib):
    identifier = trib("submit", "a.b.v1", "--correlation", "req-7", "-o", "name").stdout.strip()
    trib("cancel", identifier)
    done = trib("events", identifier, "--follow", "-o", "jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["type"] for row in rows] == ["intent_created", "step_cancelled"]
    assert {row["correlation_id"] for row in rows} == {"req-7"}
    only = trib("events", identifier, "--type", "*_cancelled", "--since", "1h", "-o", "name")
    assert only.stdout == f"{identifier} step_cancelled\n"
    assert trib("events", "--type", "run_faild").returncode == 3
    assert trib("events", "--follow", "-o", "json").returncode == 2


def test_work_is_listed_by_the_ids_that_it_carries(trib):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    submit = ("submit", "a.b.v1", "-o", "name")
    one = trib(*submit, "--correlation", "req-7", "--business", "order-9").stdout.strip()
    two = trib(*submit, env={"TRACEPARENT": parent}).stdout.strip()
    odd = trib(*submit, env={"TRACEPARENT": "nonsense"})
    assert "TRACEPARENT in the environment is no traceparent" in odd.stderr
    assert trib("list", "--correlation", "req-7", "-o", "name").stdout.split() == [one]
    assert trib("list", "--business", "order-9", "-o", "name").stdout.split() == [one]
    assert trib("list", "--trace", parent[3:35], "-o", "name").stdout.split() == [two]
    assert _json(trib("status", two, "-o", "json"))["traceparent"] == parent
    assert "req-7" in trib("status", one).stdout
    assert trib("list", "--trace", "12").returncode == 3
    assert trib(*submit, "--traceparent", "nonsense").returncode == 3
