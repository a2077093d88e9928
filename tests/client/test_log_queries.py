"""Which step or item lines are asked of: known ones of runs of any size, nobody else's."""

from __future__ import annotations

import pytest

from tributary_daemon.errors import NotFound

FAN = "steps: {f: {for_each: [1, 2], task: test.a.v1}, g: {task: test.a.v1, needs: f}}"


def test_a_step_of_a_run_of_many_steps_is_found(client, tmp_path):
    path = tmp_path / "many.yaml"
    path.write_text("steps:\n" + "".join(f"  s{n:03}: {{task: test.a.v1}}\n" for n in range(250)))
    run = client.submit(path).id
    assert list(client.logs(run, "s249")) == []
    with pytest.raises(NotFound, match="has no step 's250'") as refused:
        client.logs(run, "s250")
    assert "known: s000, " in refused.value.hint


def test_an_item_is_looked_for_once_there_are_items(client, hand, tmp_path):
    path = tmp_path / "fan.yaml"
    path.write_text(FAN)
    run = client.submit(path).id
    assert list(client.logs(run, "f[7]")) == [], "its items are still to come"
    hand.sql("update tributary.steps set step_id = 'f', item_key = '0', flags = 256 where step_id = 'g'")
    assert list(client.logs(run, "f[0]")) == []
    with pytest.raises(NotFound, match=r"step 'f' has no item '7'"):
        client.logs(run, "f[7]")
