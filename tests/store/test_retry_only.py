"""An explicit retry of one step, in a run that has completed."""

from __future__ import annotations

from tests.store import protocol_kit as kit


def test_what_completed_below_the_step_stays_as_it_is(connection):
    kit.offer(connection)
    revision = kit.save(connection, kit.workflow("w.v1", {"s0": (), "s1": ("s0",), "s2": ("s0",)}))
    (run,) = connection.execute(
        "select r.run_id::text from tributary.submit_run("
        "%s, 'w.v1', '{}', null, null, null, null, '{}', '', null, null, null) as r",
        (revision,),
    ).fetchone()
    process = kit.Process(connection)
    assert process.work_off() == 3
    kit.scalar(connection, "select tributary.retry_only(%s, %s)", run, ["s0"])
    assert kit.states(connection, run) == {"s0": "available", "s1": "completed", "s2": "completed"}
    kit.check_invariants(connection)
    assert process.work_off() == 1
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)
    kit.check_invariants(connection)
