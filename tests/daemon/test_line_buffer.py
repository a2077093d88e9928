"""What one attempt says is bounded: head and tail stay, and a gap tells how much is missing."""

from __future__ import annotations

import asyncio
import json

import pytest

from tributary_daemon.daemon.line_buffer import LATER, LineBuffer, plain
from tributary_daemon.engine.executor import execute_async
from tributary_daemon.engine.lease import Lease
from tributary_daemon.handlers.builtin import shell
from tributary_daemon.handlers.registry import Registry
from tributary_daemon.handlers.step import Step, StepContext
from tributary_daemon.model.masking import Mask

LIMIT = 1_048_576
TOKEN = ("0199aaaa-0000-7000-8000-000000000001", 2, 7)


class Desk:
    """A buffer, and what a table would hold of it."""

    def __init__(self, limit=LIMIT, mask=None):
        self.told = []
        self.ends = []
        self.rows = {}
        self.buffer = LineBuffer(
            TOKEN, 0, 1, limit=limit, mask=mask, said=self.told.append,
            ended=lambda _buffer, then: self.ends.append(then),
        )  # fmt: skip

    def write(self):
        """Store what is there, as the database would; return how many bytes that was."""
        chunks = self.buffer.take()
        for chunk in chunks:
            first, last = chunk.drop or (1, 0)
            for part in range(first, last + 1):
                del self.rows[part]
            self.rows[chunk.part] = chunk
        return sum(chunk.bytes for chunk in chunks)

    @property
    def stored(self):
        return sum(chunk.bytes for chunk in self.rows.values())

    def text(self):
        return b"".join(piece.data for chunk in self.rows.values() for piece in chunk.pieces).decode()


@pytest.fixture
def desk():
    return Desk()


def test_it_asks_to_be_written_once_per_write(desk):
    desk.buffer.line("one", "info", {})
    desk.buffer.line("two", "info", {})
    assert len(desk.told) == 1
    desk.write()
    desk.buffer.line("three", "info", {})
    assert len(desk.told) == 2
    desk.write()
    assert [chunk.lines for chunk in desk.rows.values()] == [2, 1]


def test_all_is_kept_up_to_the_limit(desk):
    out = desk.buffer.output("stdout")
    said = b"".join(b"%08d\n" % n for n in range(100_000))
    for start in range(0, len(said), 65_536):
        out.feed(said[start : start + 65_536])
    desk.write()
    assert desk.text().encode() == said


def test_a_flood_keeps_its_head_and_its_end_and_takes_no_room(desk):
    out = desk.buffer.output("stdout")
    written = []
    for turn in range(200):
        for _ in range(20):
            out.feed(b"%07d\n" % turn * 8_000)
        assert desk.buffer._loud.total() <= LIMIT
        written.append(desk.write())
    out.feed(b"the end")
    out.close()
    desk.write()
    assert desk.text().startswith("0000000\n" * 1_000)
    assert desk.text().endswith("0000199\nthe end")
    assert LIMIT / 2 < desk.stored < LIMIT + LATER
    assert max(written[20:]) <= LATER
    assert len(desk.rows) < 64


def test_a_flood_does_not_wash_the_other_streams_away(desk):
    out, err = desk.buffer.output("stdout"), desk.buffer.output("stderr")
    for _ in range(40):
        out.feed(b"x" * 60_000 + b"\n")
    desk.write()
    err.feed(b"the reason\n")
    for _ in range(40):
        out.feed(b"x" * 60_000 + b"\n")
    desk.write()
    assert "the reason" in desk.text()


def test_gaps_are_known(desk):
    out = desk.buffer.output("stdout")
    for _ in range(100):
        out.feed(b"x\n" * 32_768)
    desk.write()
    pieces = [piece for chunk in desk.rows.values() for piece in chunk.pieces]
    total = 100 * 32_768
    missing = total - sum(piece.lines for piece in pieces)
    seen, gaps = 0, 0
    for chunk in desk.rows.values():
        gaps += chunk.pieces[0].lines_before - seen
        seen = chunk.pieces[0].lines_before + chunk.lines
    assert (gaps, seen) == (missing, total)
    assert missing > 0


def test_who_says_a_word_now_and_then_for_ever_is_bounded_too():
    desk = Desk(limit=131_072)
    for n in range(3_000):
        desk.buffer.line(f"tick {n}", "info", {})
        desk.write()
    assert len(desk.rows) < 131_072 / 256
    assert "tick 0" in desk.text()
    assert desk.text().endswith("tick 2999")


def test_lines_are_whole_and_the_last_one_needs_no_newline(desk):
    out, err = desk.buffer.output("stdout"), desk.buffer.output("stderr")
    out.feed(b"begin ")
    err.feed("fehlerhäft\n".encode()[:8])
    desk.write()
    assert desk.rows == {}
    out.feed(b"end\nrest")
    err.feed("fehlerhäft\n".encode()[8:])
    desk.buffer.end(lambda: None)
    desk.write()
    entries = json.loads(desk.rows[0].entries(1e9))
    assert [entry[1:] for entry in entries] == [
        ["stdout", "begin end\n"],
        ["stderr", "fehlerhäft\n"],
        ["stdout", "rest"],
    ]
    assert len(desk.ends) == 1


def test_a_line_without_end_is_cut(desk):
    out = desk.buffer.output("stdout")
    for _ in range(10):
        out.feed(b"z" * 65_536)
    out.close()
    desk.write()
    assert desk.stored == 655_360
    assert desk.rows[0].pieces[0].lines == 1


def test_secrets_are_masked_across_reads_and_in_fields():
    desk = Desk(mask=Mask(["s3cret"]))
    out = desk.buffer.output("stdout")
    assert out.feed(b"key s3c") == b"key "
    assert out.feed(b"ret!\n") == b"***!\n"
    desk.buffer.line("the s3cret", "warning", {"s3cret": ["s3cret", 1]})
    desk.write()
    entries = json.loads(desk.rows[0].entries(1e9))
    assert [entry[2:] for entry in entries] == [["key ***!\n"], ["the ***", "warning", {"***": ["***", 1]}]]


def test_a_script_cannot_tell_the_secrets_of_its_step():
    class Powers:
        desk = Desk(mask=Mask(["s3cret-value"]))

        def lines(self, _attempt):
            return self.desk.buffer

        def context(self, _attempt):
            return StepContext()

        def own_group(self, _attempt, _group):
            return

    registry = Registry()
    shell.add_to(registry)
    script = "printf s3cret; sleep 0.05; echo -value; echo $KEY >&2; exit 3"
    lease = Lease(
        *TOKEN, "step", shell.NAME, "s", "default", 1, 1, 0,
        json.dumps({"run": script, "env": {"KEY": "s3cret-value"}}), mask=Mask(["s3cret-value"]),
    )  # fmt: skip
    handler, powers = registry.get(shell.NAME), Powers()
    outcome = asyncio.run(execute_async(handler, lease, Step(lease, powers)))
    assert outcome.error.message == "exit code 3: ***"
    powers.desk.write()
    assert sorted(powers.desk.text().splitlines()) == ["***", "***"]


def test_anything_can_be_a_field():
    class Odd:
        def __str__(self):
            return "odd\x00"

    found = plain({"a": float("nan"), 1: Odd(), "s": "\ud800", "t": (1, None), "d": {"x": float("inf")}})
    assert found == {"a": "nan", "1": "odd\\x00", "s": "\\ud800", "t": [1, None], "d": {"x": "inf"}}
    json.dumps(found, allow_nan=False)


def test_huge_lines_and_fields_are_cut(desk):
    desk.buffer.line("x" * 1_000_000, "info", {"y": "z" * 1_000_000})
    desk.write()
    (piece,) = desk.rows[0].pieces
    assert piece.size < 40_000
    assert json.loads(piece.fields) == {"dropped": "fields of 1,000,009 bytes"}
