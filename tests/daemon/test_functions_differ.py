"""Functions of another release under a schema of this one: `trib worker` and `trib doctor` say so."""

from __future__ import annotations

import json

import pytest

from tributary_daemon import events, workers
from tributary_daemon.config import Config
from tributary_daemon.daemon import running
from tributary_daemon.daemon.options import WorkerOptions

FOREIGN = "update tributary.meta set value = 'of another release' where key = 'functions'"


@pytest.fixture
def told(monkeypatch):
    """What is told before a worker begins; it does not begin."""
    monkeypatch.setattr(running, "run", lambda *_: 0)
    heard = []
    detach = events.attach(heard.append)
    yield heard
    detach()


def test_a_worker_says_once_that_the_functions_are_not_its_own(database, connection, told):
    config = Config(database_url=database)
    assert workers.run_worker(config, WorkerOptions.of(config)) == 0
    assert told == []
    connection.execute(FOREIGN)
    assert workers.run_worker(config, WorkerOptions.of(config)) == 0
    (version,) = connection.execute("select value from tributary.meta where key = 'version'").fetchone()
    assert told == [events.FunctionsDiffer(version)]
    # a worker of the release before, which is replaced next, has no reason to say anything
    connection.execute("update tributary.meta set value = '99990101000000_new' where key = 'version'")
    assert workers.run_worker(config, WorkerOptions.of(config)) == 0
    assert len(told) == 1


def test_doctor_warns_of_them_and_refuses_a_schema_without(connection, trib):
    def schema():
        (found,) = [
            line for line in json.loads(trib("doctor", "-o", "json").stdout) if line["check"] == "schema"
        ]
        return found["level"], found["message"]

    connection.execute(FOREIGN)
    level, message = schema()
    assert level == "warn"
    assert "its functions are not those of this release" in message
    connection.execute("update tributary.meta set value = '' where key = 'functions'")
    level, message = schema()
    assert level == "fail"
    assert "not in place" in message
