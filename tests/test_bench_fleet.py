"""The simulated fleet keeps the product's times, and asks of a server what workers would."""

from __future__ import annotations

import psycopg
import pytest

from bench import fleet, fleet_crowd
from bench.server import drop_databases
from tributary_daemon.daemon import database, maintenance, orders

pytestmark = pytest.mark.timeout(180)


def test_its_times_are_those_of_the_product():
    assert (fleet_crowd.STAGGER, fleet_crowd.FEW, fleet_crowd.SPREAD) == (
        orders._STAGGER, orders._FEW, orders._SPREAD,
    )  # fmt: skip
    assert fleet_crowd.RESCANS == database._RESCANS
    assert (fleet_crowd.TICK, fleet_crowd.TIDY) == (maintenance.TICK, maintenance._TIDY_EVERY)
    assert fleet_crowd.SAMPLE == maintenance._SAMPLE_EVERY


def test_a_small_fleet_is_seen_at_rest_and_at_work(server):
    def look(scene, seconds):
        options = fleet.asked([
            "--workers", "6", "--seconds", str(seconds), "--warmup", "0.5", "--connections", "2",
            "--submits", "10", "--steps", "40",
        ])  # fmt: skip
        return fleet.see(server, scene, 6, options)

    try:
        # steps take a server that others use longer
        seen = {scene: look(scene, 5 if scene == "steps" else 2) for scene in fleet.SCENES}
    finally:
        drop_databases(server)
    with psycopg.connect(server) as sql:
        assert sql.execute("select from pg_database where datname = 'bench_fleet'").fetchall() == []
    rest, submits, steps = (seen[scene] for scene in fleet.SCENES)
    # a beat a second of each, a look at the maintenance every other
    assert 4 <= rest.counts["beat"] <= 6 * 5
    assert 0 < rest.counts["attend"] < rest.counts["beat"]
    assert rest.counts["claim"] == rest.counts["rows"] == rest.heard == 0
    assert submits.heard > submits.counts["rows"] > 0
    assert submits.counts["claim"] + submits.counts["finish and claim"] >= submits.counts["rows"]
    assert steps.counts["rows"] > 20
    for one in seen.values():
        assert one.figures.commits > 0
        assert one.figures.cpu >= 0
        assert len(one.row) == len(fleet.HEADS)
        assert "MiB of its own" in one.note


def test_a_worker_that_is_fenced_ends_it(server, monkeypatch):
    options = fleet.asked(["--seconds", "5", "--warmup", "0", "--connections", "1", "--no-listen"])
    crowd = fleet_crowd.Crowd
    monkeypatch.setattr(fleet, "Crowd", lambda url, **more: _fenced(crowd(url, **more)))
    try:
        with pytest.raises(RuntimeError, match="a lane has ended"):
            fleet.see(server, "rest", 2, options)
    finally:
        drop_databases(server)


def _fenced(crowd):
    crowd.lanes[0].connection.execute("delete from tributary.workers")
    return crowd
