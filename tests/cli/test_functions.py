"""`trib replay` and `trib query`, as a shell sees them."""

from __future__ import annotations

import json

import pytest

CODE = """
from tributary_daemon import WorkflowContext, handler, workflow


@handler("c.double.v1")
def double(x: int) -> int:
    return 2 * x


@workflow("c.flow.v1")
async def flow(ctx: WorkflowContext, x: int) -> int:
    ctx.on_query("twice", lambda more=0: x + x + more)
    ctx.set_status({"at": "the beginning"})
    y = await ctx.run(double, {"x": x})
    return y + await ctx.wait_signal("more", int)
"""


@pytest.fixture
def waiting(worker, trib, tmp_path, eventually):
    """Start a run that waits for a signal; return its id."""
    (tmp_path / "flow.py").write_text(CODE)
    worker("--import", "./flow.py", "--processes", "1", cwd=tmp_path)

    def submitted():
        done = trib("submit", "c.flow.v1", "-i", "x=4", "-o", "json")
        found = json.loads(done.stdout)
        return found["id"] if found["kind"] == "run" else None

    run = eventually(submitted, 30, "the function is registered")

    def waits():
        steps = json.loads(trib("status", run, "-o", "json").stdout)["steps"]
        return "more" in steps and steps["more"]["state"] == "waiting"

    eventually(waits, 30, "it waits")
    return run


def test_code_is_checked_against_stored_histories_and_answers_queries(waiting, trib, tmp_path, eventually):
    done = trib("replay", waiting, "--import", "./flow.py", cwd=tmp_path)
    assert (done.returncode, "fits; it waits there" in done.stdout) == (0, True)
    saved = trib("replay", waiting, "--save", "golden.json", cwd=tmp_path)
    assert saved.returncode == 0
    assert "4 events written to golden.json" in saved.stderr
    done = trib("replay", "golden.json", "--import", "./flow.py", "-o", "json", cwd=tmp_path)
    assert json.loads(done.stdout) == {
        "id": waiting, "name": "c.flow.v1", "events": 4, "fits": True, "comes_to": "waits", "error": None,
    }  # fmt: skip
    (tmp_path / "changed.py").write_text(CODE.replace("ctx.run(double", 'ctx.child("c.other.v1"'))
    done = trib("replay", "--name", "c.flow.v1", "--import", "./changed.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "its history has run c.double.v1, but it asks for child c.other.v1" in done.stdout
    done = trib("replay", "--name", "c.nobody.v1", "--import", "./flow.py", cwd=tmp_path)
    assert (done.returncode, "no run of c.nobody.v1 is under way" in done.stderr) == (0, True)
    drawn = json.loads(trib("graph", waiting, "-o", "json").stdout)
    states = {node["id"]: node["state"] for node in drawn["nodes"]}
    assert states == {"main": "waiting", "double": "completed", "more": "waiting"}
    # and queries are answered here, whatever the run does
    done = trib("query", waiting)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"at": "the beginning"})
    done = trib(
        "query", waiting, "twice", "-i", "more=3", "--import", "./flow.py", "-o", "json", cwd=tmp_path
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, 11)
    done = trib("query", waiting, "thrice", "--import", "./flow.py", cwd=tmp_path)
    assert (done.returncode, "it answers: twice" in done.stderr) == (3, True)
    assert trib("signal", waiting, "more", "-d", "5").returncode == 0
    eventually(lambda: trib("status", waiting, "--exit-status").returncode == 0, 30, "it completes")
    assert json.loads(trib("status", waiting, "-o", "json").stdout)["result"] == 13


@pytest.mark.parametrize(("args", "code", "told"), [
    (("replay",), 2, "name runs or files"),
    (("replay", "a", "b", "--save", "f.json"), 2, "--save writes the history of one run"),
    (("replay", "broken.json"), 3, "is not JSON"),
    (("replay", "empty.json"), 3, "this is no recorded history"),
    (("query", "x", "-i", "a=1"), 2, "-i belongs to a query"),
])  # fmt: skip
def test_mistakes_are_told(trib, tmp_path, args, code, told):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "empty.json").write_text("{}")
    done = trib(*args, cwd=tmp_path)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr
