"""Lines put in order from chunks: over attempts, across pages, with their gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tributary_daemon.client.log_records import DROPPED, Merge
from tributary_daemon.store.logs import ChunkRow

START = datetime(2026, 11, 25, 12, tzinfo=UTC)


def a_chunk(seconds, *entries, seq=1, part=0, before=(0, 0), step="a", item=None, attempt=1):
    """Make a chunk written so many seconds after the start, of (seconds before that, stream, text)."""
    said = [[round(age * 1e6), stream, text, *more] for age, stream, text, *more in entries]
    lines = sum(text.count("\n") or 1 for _, _, text, *_ in entries)
    size = sum(len(text) for _, _, text, *_ in entries)
    at = START + timedelta(seconds=seconds)
    return ChunkRow(at, 1, seq, part, attempt, *before, lines, size, said, step, item)


def texts(records):
    return [record.text for record in records]


def test_lines_of_several_attempts_stand_by_time():
    merge = Merge("r")
    merge.add([
        a_chunk(1.0, (0.9, "stdout", "1\n"), (0.2, "stdout", "4\n"), seq=1),
        a_chunk(1.1, (0.8, "stderr", "2\n3\n"), (0.1, "log", "5", "info", {"n": 1}), seq=2, step="b"),
    ])  # fmt: skip
    records = list(merge.rest())
    assert texts(records) == ["1", "2", "3", "4", "5"]
    assert [(r.step, r.stream, r.level, r.fields) for r in records[3:]] == [
        ("a", "stdout", None, None),
        ("b", "log", "info", {"n": 1}),
    ]
    assert records[0].at == START + timedelta(seconds=0.1)
    assert records[0].to_json()["at"] == "2026-11-25T12:00:00.100000Z"


def test_only_what_is_certain_is_handed_out_before_the_last_page():
    merge = Merge("r")
    merge.add([a_chunk(1, (0, "stdout", "early\n")), a_chunk(20, (0, "stdout", "late\n"), seq=2)])
    assert texts(merge.ready()) == ["early"]
    merge.add([a_chunk(21, (5, "stdout", "between\n"), seq=3)])
    assert texts(merge.rest()) == ["between", "late"]


def test_a_chunk_that_comes_twice_is_taken_once():
    merge = Merge("r")
    first = a_chunk(1, (0, "stdout", "1\n"))
    merge.add([first])
    merge.add([first, a_chunk(2, (0, "stdout", "2\n"), part=1, before=(1, 2))])
    assert texts(merge.rest()) == ["1", "2"]


def test_within_an_attempt_the_order_of_writing_counts_whatever_its_times_say():
    merge = Merge("r")
    merge.add([
        a_chunk(1.0, (0.001, "stdout", "1\n")),
        a_chunk(1.1, (0.5, "stdout", "2\n"), part=1, before=(1, 2)),
    ])  # fmt: skip
    assert texts(merge.rest()) == ["1", "2"]


def test_a_gap_is_said_where_it_is():
    rows = [
        a_chunk(1, (0, "stdout", "head\n")),
        a_chunk(2, (0, "stdout", "tail\n"), part=9, before=(1_001, 5_005)),
    ]
    merge = Merge("r")
    merge.add(rows)
    head, gap, tail = merge.rest()
    assert (head.text, gap.stream, tail.text) == ("head", DROPPED, "tail")
    assert gap.text == "1,000 lines (5,000 bytes) dropped"
    assert gap.fields == {"lines": 1_000, "bytes": 5_000}
    for whole, expected in ((True, 2), (False, 1)):
        merge = Merge("r", whole=whole)
        merge.add(rows[1:])
        assert len(list(merge.rest())) == expected


def test_streams_can_be_chosen():
    merge = Merge("r", ["stderr"])
    merge.add([a_chunk(1, (0, "stdout", "no\n"), (0, "stderr", "yes\r\n\nand\n"))])
    assert texts(merge.rest()) == ["yes", "", "and"]
