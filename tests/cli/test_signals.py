"""``trib signal``, ``approve`` and ``reject``: what they print, refuse and exit with."""

from __future__ import annotations

import json

import pytest

from tests.store import protocol_kit as kit

WAIT, APPROVE = "trib.wait.v1", "trib.approve.v1"
WORKFLOW = """\
name: waits.v1
steps:
  packed: {wait: {signal: packed, timeout: 2d}}
  review: {approve: {prompt: Ship it?, form: {note: {type: string}, n: {type: integer, default: 1}}}}
"""
TERMS = {
    "packed": {"kind": "signal", "signal": "packed", "seconds": 172800},
    "review": {
        "kind": "approval",
        "prompt": "Ship it?",
        "form": {"note": {"type": "string", "required": True}, "n": {"type": "integer", "default": 1}},
    },
}


@pytest.fixture
def waiting(here, tmp_path, connection):
    """Return the id of a run whose steps wait, as after a worker has seen them."""
    path = tmp_path / "waits.yaml"
    path.write_text(WORKFLOW)
    identifier = here("submit", path, "-o", "name").stdout.strip()
    process = kit.Process(connection, queues=("~closing",), names=(WAIT, APPROVE))
    for item in process.claim():
        assert process.finish([item], "waits", result=json.dumps(TERMS[item.step_id])) == []
    return identifier


def _json(done, code=0):
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_signal_says_whether_anybody_has_taken_it(here, waiting):
    told = here("signal", waiting, "paked")
    assert (told.returncode, "kept, as no step waits for it" in told.stdout) == (0, True)
    answer = _json(here("signal", waiting, "packed", "-d", '{"boxes": 2}', "-o", "json"))
    assert answer == {"id": waiting, "signal": "packed", "number": 2, "taken": True}
    assert _json(here("status", waiting, "-o", "json"))["steps"]["packed"]["result"] == {"boxes": 2}


def test_status_and_why_say_what_is_waited_for(here, waiting):
    shown = here("status", waiting).stdout
    assert "for signal packed, until 20" in shown
    assert "for approval" in shown
    told = here("why", waiting).stdout
    assert "it waits for the signal 'packed' until" in told
    assert f"trib approve {waiting} review" in told


def test_an_approval_is_checked_before_it_counts(here, waiting):
    for wrong, fault in (
        (("-i", "n=2"), "field 'note' is required"),
        (("-i", "note=x", "-i", "n=many"), "field 'n' must be an integer"),
        (("-i", "note=x", "-i", "m=1"), "unknown field 'm'"),
    ):
        done = here("approve", waiting, "review", *wrong)
        assert (done.returncode, fault in done.stderr) == (3, True), done.stderr
    assert here("approve", waiting, "review", "-d", "[1]").returncode == 2
    done = here("approve", waiting, "review", "-i", "note=fine", "-i", "n=4", "--as", "ada", "-o", "json")
    assert _json(done) == {"id": waiting, "step": "review", "state": "completed", "approved": True}
    result = _json(here("status", waiting, "-o", "json"))["steps"]["review"]["result"]
    assert (result["by"], result["answer"]) == ("ada", {"note": "fine", "n": 4})
    assert here("approve", waiting, "review", "-i", "note=again").returncode == 8


def test_a_rejection_is_told_with_the_error(here, waiting):
    done = here("reject", waiting, "review", "--reason", "too early", "--as", "bob")
    assert (done.returncode, "review rejected" in done.stdout) == (0, True)
    step = _json(here("status", waiting, "-o", "json"))["steps"]["review"]
    assert (step["reason"], step["error"]["message"]) == ("rejected", "rejected by bob: too early")


def test_what_cannot_be_signalled(here, waiting):
    assert here("signal", "01890000-0000-7000-8000-000000000000", "x").returncode == 4
    assert here("approve", waiting, "nothing").returncode == 4
    assert here("signal", waiting, "x", "-d", "{").returncode == 3
    assert here("cancel", waiting).returncode == 0
    done = here("signal", waiting, "packed")
    assert (done.returncode, "has ended" in done.stderr) == (8, True)
