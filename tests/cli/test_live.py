from __future__ import annotations

import io

from tributary_daemon.cli import live
from tributary_daemon.cli.follow import ChangeLines, DocumentLines, Quiet, exit_code, follow, progress
from tributary_daemon.errors import WaitTimeout


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class _Client:
    """Answers a wait with documents, then with the last of them or an error."""

    def __init__(self, documents, error=None):
        self.documents, self.error = documents, error

    def wait(self, identifier, timeout=None, seen=None):
        for document in self.documents:
            seen(document)
        if self.error:
            raise self.error
        return self.documents[-1]


def test_the_tree_is_drawn_in_place_and_its_end_stays(a_run, a_step, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = _Terminal()
    steps = [{"a": a_step(state="running")}, {"a": a_step(), "b": a_step("a")}]
    client = _Client([a_run(steps[0]), a_run(steps[1], state="completed", result=1)])
    followed = follow(client, "x", live.LiveTree(terminal))
    assert (followed.code, followed.document["result"]) == (0, 1)
    drawn = terminal.getvalue()
    assert "\x1b[?25l" in drawn
    assert drawn.rstrip().endswith("\x1b[?25h")
    last = drawn.rpartition("shop.order.v1")[2]
    assert "completed" in last
    assert "└─" in last


def test_a_wait_that_is_over_gives_the_last_document_and_5(a_run, a_step, capsys):
    client = _Client([a_run({"a": a_step(state="running")})], WaitTimeout("not ended within 1.0s"))
    followed = follow(client, "x", Quiet(), timeout=1)
    assert (followed.code, followed.document["state"]) == (5, "running")
    assert "`trib watch x`" in capsys.readouterr().err


def test_documents_as_lines_only_when_they_change(a_run, a_step):
    stream = io.StringIO()
    running, ended = a_run({"a": a_step(state="running")}), a_run({"a": a_step()}, state="completed")
    follow(_Client([running, running, ended]), "x", DocumentLines(stream))
    # the last one is printed by whoever shows the end
    assert len(stream.getvalue().splitlines()) == 1


def test_what_is_shown_on_the_way_suits_the_streams(capsys):
    assert isinstance(progress("table", verbose=True), ChangeLines)
    assert isinstance(progress("json", verbose=True), ChangeLines)
    assert isinstance(progress("jsonl", verbose=True), DocumentLines)
    for output in ("table", "json", "jsonl"):
        assert type(progress(output, verbose=False)) is Quiet


def test_codes_of_states():
    codes = {
        state: exit_code(state) for state in ("completed", "failed", "discarded", "cancelled", "running")
    }
    assert codes == {"completed": 0, "failed": 1, "discarded": 1, "cancelled": 6, "running": 5}
