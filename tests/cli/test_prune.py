"""``trib prune``."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import aging


@pytest.fixture
def sql(database):
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def test_what_ended_long_ago_goes_and_the_rest_stays(trib, sql):
    aging.finished(sql, 2, "40 days")
    young = aging.finished(sql, 1, "20 days")
    counted = trib("prune", "--older-than", "30d", "--dry-run")
    assert (counted.returncode, counted.stdout) == (0, "would prune 0 runs and 2 intents\n")
    done = trib("prune", "--older-than", "30d", "-o", "json")
    assert json.loads(done.stdout) == {"runs": 0, "intents": 2, "dry_run": False, "kept": {}}
    assert trib("list", "-o", "name").stdout.split() == young
    assert "1 intent\n" in trib("prune", "--older-than", "10d", "--state", "completed").stdout


def test_the_setting_says_what_may_go_when_the_command_does_not(trib, sql):
    aging.finished(sql, 2, "40 days")
    refused = trib("prune")
    assert refused.returncode == 2
    assert "--older-than 30d" in refused.stderr
    assert "2 intents" in trib("prune", env={"TRIB_KEEP": "30d"}).stdout


@pytest.mark.parametrize(
    "args",
    [
        ["--older-than", "soon"],
        ["--older-than", "30"],
        ["--dead-letters-older-than", "90"],
        ["--older-than", "1d", "--state", "running"],
    ],
)
def test_malformed_options_exit_2(trib, args):
    assert trib("prune", *args).returncode == 2


@pytest.mark.parametrize("keep", ["30", "0", "1s"])
def test_a_retention_without_its_unit_or_shorter_than_a_minute_removes_nothing(trib, sql, keep):
    aging.finished(sql, 1, "1 day")
    refused = trib("prune", env={"TRIB_KEEP": keep})
    assert refused.returncode == 2
    assert "TRIB_KEEP" in refused.stderr
    count = "select count(*) from tributary.steps where state = 'completed'"
    assert sql.execute(count).fetchone() == (1,)
