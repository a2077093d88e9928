"""Odd settings of a role, a database or a URL: our own sessions do not depend on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.store import protocol_kit as kit
from tributary_daemon.app import Client
from tributary_daemon.store import db, membership, session
from tributary_daemon.store.finishes import Ended
from tributary_daemon.store.lanes import ClaimRequest, Lane
from tributary_daemon.store.leases import Leases

TEXT = "żółw ☃ ß"
FUNCTIONS = (
    "clock_timestamp() returns timestamptz", "pg_notify(text, text) returns void",
    "unnest(anyarray) returns setof anyelement", "make_interval(secs float8) returns interval",
    "current_setting(text) returns text", "current_setting(text, boolean) returns text",
)  # fmt: skip
LOOK_ALIKES = (
    "create schema evil; create table evil.steps (x int); create table evil.processes (x int);"
    + "".join(
        f"create function evil.{head} language plpgsql as $$ begin raise 'evil'; end $$;"
        for head in FUNCTIONS
    )
)
ODD = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "evil, public, pg_catalog",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "timezone": "Asia/Kolkata",
    "bytea_output": "escape",
    "array_nulls": "off",
    "client_encoding": "LATIN1",
    "row_security": "off",
    "synchronous_commit": "off",
    "jit": "on",
    "extra_float_digits": "-10",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "plan_cache_mode": "force_generic_plan",
    "idle_session_timeout": "1min",
    "idle_in_transaction_session_timeout": "2s",
    "standard_conforming_strings": "on",
}


def alter(database, settings):
    """Give new sessions of a database other defaults."""
    name = conninfo_to_dict(database)["dbname"]
    with psycopg.connect(database, autocommit=True) as admin:
        for setting, value in settings.items():
            text = value if setting == "search_path" else f"'{value}'"
            admin.execute(f"alter database {name} set {setting} = {text}")


@pytest.fixture
def odd(database):
    """A database whose defaults are odd in every respect, with look-alikes of what we use in the path."""
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(LOOK_ALIKES)
    alter(database, ODD)
    return database


def cycle(connection):
    """Register, submit, claim, fail, claim, finish, and look."""
    kit.offer(connection)
    process = kit.Process(connection)
    (run,) = connection.execute(
        "select tributary.submit_intent(%s, %s::jsonb)::text", (kit.NAME, json.dumps({"text": TEXT}))
    ).fetchone()
    leases = Leases(connection, process.id, [kit.NAME], ["default"])
    request = ClaimRequest([Lane("default", 0, "")], [0], 5)
    _, ((row,),) = leases.exchange(0, [], [request])
    assert json.loads(row[10])["text"] == TEXT
    failed = Ended(row[0], row[1], row[2], row[18], "retry", None, json.dumps({"message": TEXT}), 0.0, 0.1)
    refused, _ = leases.exchange(0, [failed], [])
    leases.promote_and_survey(0)
    _, ((again,),) = leases.exchange(0, [], [request])
    ended = Ended(again[0], again[1], again[2], again[18], "completed", json.dumps(TEXT), None, None, 0.1)
    assert (refused, leases.exchange(0, [ended], [])[0]) == ([], [])
    worker = membership.register_worker(
        connection, name="w", host="h", pid=1, version="1", queues=["default"], names=[kit.NAME],
        concurrency=1, failures=[],
    )  # fmt: skip
    pulse = membership.beat_worker(
        connection, worker, [membership.Vitals(process.id, slots=1)], ["default"], wants_wake=True,
        state="running", wanted=1,
    )  # fmt: skip
    assert (pulse.alive, pulse.beaten) == (True, 1)
    assert isinstance(pulse.now, datetime)
    membership.attend(connection, worker, 5.0, lease=10.0, expected=pulse.now, silent=60.0)
    membership.tidy(connection, 1, 60.0)
    return run


@pytest.mark.one_shard("claims from shard 0")
def test_a_worker_works_whatever_the_defaults_are(odd):
    with db.connect(odd, application_name="test", limits=session.OWN) as connection:
        run = cycle(connection)
        assert connection.execute("show transaction_isolation").fetchone() == ("read committed",)
        assert connection.execute("show idle_session_timeout").fetchone() == ("0",)
        assert connection.execute("show search_path").fetchone() == ("pg_catalog",)
    with Client(odd) as client:
        document = client.get(run)
        assert (document.state, document.result) == ("completed", TEXT)
        receipt = client.submit(kit.NAME, {"text": TEXT}, idempotency_key=TEXT)
        assert client.submit(kit.NAME, {"text": TEXT}, idempotency_key=TEXT).id == receipt.id
        assert {item.id for item in client.list().items} == {document.id, receipt.id}


@pytest.mark.one_shard("claims from shard 0")
@pytest.mark.parametrize("setting", ["DateStyle", "array_nulls", "search_path", "client_encoding"])
def test_each_alone_did_harm(database, setting):
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(LOOK_ALIKES)
    alter(database, {setting: ODD[setting]})
    with db.connect(database, application_name="test", limits=session.OWN) as connection:
        cycle(connection)


def test_a_step_finds_names_and_limits_as_its_role_has_them(odd):
    with db.connect(odd, application_name="test", autocommit=False, limits=session.STEP) as connection:
        assert connection.execute("show search_path").fetchone() == (ODD["search_path"],)
        assert connection.execute("show idle_session_timeout").fetchone() == ("1min",)
        assert connection.execute("show timezone").fetchone() == (ODD["timezone"],)
        assert connection.execute("show transaction_isolation").fetchone() == ("read committed",)
        assert connection.execute("select now() > '2002-01-01'").fetchone() == (True,)
        assert connection.execute("select %s", [TEXT]).fetchone() == (TEXT,)


def test_a_pooler_gets_only_what_it_keeps_apart():
    peer = session.Peer(True, "serializable", "SQL, DMY", "off", "evil, pg_catalog", "1min")
    assert peer.mends(session.OWN) == {"DateStyle": "ISO"}
    assert session.mending({"a": "1", "b": "2"}) == (
        "select pg_catalog.set_config(%s, %s, false), pg_catalog.set_config(%s, %s, false)",
        ["a", "1", "b", "2"],
    )


def test_what_is_usual_costs_no_statement():
    usual = session.Peer(False, "read committed", "ISO, DMY", "on", '"$user", public', "0")
    assert usual.mends(session.OWN) == {}
    assert usual.mends({}) == {}


@pytest.mark.one_shard("claims from shard 0")
def test_commands_show_what_there_is(odd, tmp_path):
    with db.connect(odd, application_name="test", limits=session.OWN) as connection:
        cycle(connection)
    for command in (["status", "@latest"], ["workers"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "tributary_daemon", *command],
            env={**os.environ, "TRIB_DATABASE_URL": odd, "TRIB_HOME": str(tmp_path), "HOME": str(tmp_path)},
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
