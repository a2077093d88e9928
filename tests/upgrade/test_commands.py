"""Commands of each release on the schema and the work of the other."""

from __future__ import annotations

import json

import psycopg

from tests.upgrade.previous import read


def test_each_release_submits_and_steers_what_the_other_works_off(upgraded, old, new, load):
    assert json.loads(old.trib("doctor", "-o", "json", code=0)), "the old one accepts the newer schema"
    letter = {"times": None, "message": "broken", "kind": "error"}
    worker = old.worker("old")
    asked = {}
    for release in (old, new):
        document = release.answer("submit", "up.mixed.v1", "-i", "n=5", "--wait")
        assert document["state"] == "completed"
        asked[release] = release.answer(
            "submit", "trib.fail.v1", "--payload", json.dumps(letter), "--max-attempts", "1"
        )["id"]
    load.wait(
        lambda: old.trib("list", "--state", "discarded", "-o", "name").count("\n") == 2, 30, "both failed"
    )
    # each drops the dead letter of the other, and reads its work
    old.trib("dlq", "drop", asked[new])
    new.trib("dlq", "drop", asked[old])
    assert old.answer("dlq", "list") == new.answer("dlq", "list") == []
    for release in (old, new):
        assert {release.answer("status", id_)["state"] for id_ in asked.values()} == {"discarded"}
    assert worker.stop() == 0


def test_down_to_the_release_before_and_up_again_keeps_the_work(upgraded, old, new, load):
    ids = [
        release.answer("submit", "up.mixed.v1", "-i", f"n={n}")["id"] for n, release in enumerate((old, new))
    ]
    new.trib("migrate", "down-to", read().version)
    new.trib("list", code=7)
    # functions of the release before are put in place by its own `up`
    old.trib("migrate", "up")
    worker = old.worker("old")
    eventually = load.wait
    with psycopg.connect(upgraded, autocommit=True) as sql:
        query = "select count(*) from tributary.runs where run_id = any (%s::uuid[]) and state = 'completed'"
        eventually(lambda: sql.execute(query, (ids,)).fetchone() == (2,), 60, "both are completed")
    assert worker.stop() == 0
    new.trib("migrate", "up")
    assert {new.answer("status", id_)["state"] for id_ in ids} == {"completed"}
