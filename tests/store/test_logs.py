"""Chunks of lines in the table: written once, rotated, read in order, gone with their work."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store.prune_kit import left, sweep
from tributary_daemon.store import db, logs
from tributary_daemon.store.logs import ChunkToWrite, Place, Wanted


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


def a_chunk(work_id, part=0, *, ordinal=0, seq=1, attempt=1, drop=(None, None), text="x\n", age=0):
    entries = json.dumps([[age, "stdout", text]])
    lines = text.count("\n")
    return ChunkToWrite(
        str(work_id),
        ordinal,
        seq,
        attempt,
        part,
        part * lines,
        part * len(text),
        lines,
        len(text),
        entries,
        *drop,
    )


def write(connection, chunks):
    """Write chunks, those of each shard for themselves, as a worker does."""
    for shard in {kit.shard_of(connection, chunk.run_id) for chunk in chunks}:
        logs.write(connection, shard, [c for c in chunks if kit.shard_of(connection, c.run_id) == shard])


def parts(connection, work_id):
    rows = connection.execute(
        "select part from tributary.log_chunks where run_id = %s order by ordinal, seq, part", [work_id]
    )
    return [row[0] for row in rows]


def test_a_chunk_is_written_once_however_often_it_comes(connection, process):
    work = kit.intent(connection)
    write(connection, [a_chunk(work), a_chunk(work, 1)])
    write(connection, [a_chunk(work, 1), a_chunk(work, 2)])
    assert parts(connection, work) == [0, 1, 2]


def test_new_chunks_take_the_place_of_old_ones_of_their_attempt_only(connection, process):
    work, other = kit.intent(connection), kit.intent(connection)
    write(connection, [a_chunk(work, n) for n in range(6)])
    write(connection, [a_chunk(work, n, seq=2) for n in range(6)] + [a_chunk(other, 3)])
    write(connection, [a_chunk(work, 6, drop=(2, 4)), a_chunk(other, 4)])
    assert parts(connection, work) == [0, 1, 5, 6, 0, 1, 2, 3, 4, 5]
    assert parts(connection, other) == [3, 4]


def test_what_waited_together_is_as_bounded_as_what_was_written_one_by_one(connection, process):
    work, other = kit.intent(connection), kit.intent(connection)
    said = [a_chunk(work, n, drop=(n - 2, n - 2) if n > 2 else (None, None)) for n in range(9)]
    write(connection, said[:4])
    write(connection, [*said[4:], a_chunk(other, 5), a_chunk(work, 5, seq=2)])
    assert parts(connection, work) == [0, 7, 8, 5]
    assert parts(connection, other) == [5]


def test_the_tenant_is_that_of_the_work_and_nothing_is_written_for_work_that_is_gone(connection, process):
    work = kit.intent(connection, tenant="acme")
    gone = "0199aaaa-0000-7000-8000-000000000000"
    write(connection, [a_chunk(work), a_chunk(gone)])
    assert connection.execute("select run_id::text, tenant_id from tributary.log_chunks").fetchall() == [
        (str(work), "acme")
    ]


def test_what_is_no_json_is_refused(connection, process):
    work = kit.intent(connection)
    with pytest.raises(psycopg.Error):
        write(connection, [a_chunk(work)._replace(entries="[nonsense")])


def test_pages_go_forth_and_back(connection, process):
    run = kit.start(connection, kit.workflow("w", {"a": (), "b": ("a",)}))
    for part in range(4):
        write(connection, [a_chunk(run, part, ordinal=1), a_chunk(run, part, ordinal=2)])
    everything = db.run(connection, logs.behind(Wanted(run), None, 100))
    assert [(row.ordinal, row.part, row.step_id) for row in everything] == [
        (ordinal, part, step) for part in range(4) for ordinal, step in ((1, "a"), (2, "b"))
    ]
    place, found = None, []
    while page := db.run(connection, logs.behind(Wanted(run), place, 3)):
        found += page
        place = Place(page[-1].at, page[-1].ordinal, page[-1].seq, page[-1].part)
    assert found == everything
    place, found = None, []
    while page := db.run(connection, logs.before(Wanted(run), place, 3)):
        found += page
        place = Place(page[-1].at, page[-1].ordinal, page[-1].seq, page[-1].part)
    assert found[::-1] == everything
    one = db.run(connection, logs.behind(Wanted(run, step_id="b", attempt=1), None, 100))
    assert {row.step_id for row in one} == {"b"}
    assert db.run(connection, logs.behind(Wanted(run, attempt=2), None, 100)) == []
    assert db.run(connection, logs.behind(Wanted(run, item_key="k"), None, 100)) == []
    connection.execute("update tributary.steps set item_key = 'k' where run_id = %s and step_id = 'b'", [run])
    of_item = db.run(connection, logs.behind(Wanted(run, step_id="b", item_key="k"), None, 100))
    assert [(row.part, row.item_key) for row in of_item] == [(part, "k") for part in range(4)]
    kit.advance(connection, "10 minutes")
    assert db.run(connection, logs.behind(Wanted(run, since=300.0), None, 100)) == []
    assert len(db.run(connection, logs.behind(Wanted(run, since=3_600.0), None, 100))) == 8


@pytest.mark.one_shard("counts the batches of a sweep, which are of one shard each")
def test_logs_go_with_their_work_in_bounded_batches(connection, process):
    work, run = kit.intent(connection), kit.start(connection, kit.workflow("w", {"a": (), "b": ("a",)}))
    write(connection, [a_chunk(work, n) for n in range(70)])
    write(connection, [a_chunk(run, n, ordinal=o) for n in range(70) for o in (1, 2)])
    stays = kit.intent(connection, run_after="9999-01-01T00:00:00Z")
    write(connection, [a_chunk(stays)])
    process.work_off()
    assert sweep(connection) == (0, 0, 2)
    kit.advance(connection, "31 days")
    swept = sweep(connection, limit=50)
    assert (swept.runs, swept.intents) == (1, 1)
    # 210 chunks at 50 each
    assert swept.batches > 4
    assert left(connection, work, run) == {}
    assert left(connection, stays)["log_chunks"] == 1


def test_another_attempt_keeps_the_lines_of_the_first(connection, process):
    work = kit.intent(connection)
    first = process.claim()
    write(connection, [a_chunk(work, seq=first[0].seq)])
    process.finish(first, "retry", delay=0)
    second = process.claim()
    write(connection, [a_chunk(work, seq=second[0].seq, attempt=2)])
    process.finish(second, "discarded")
    kit.scalar(connection, "select tributary.requeue(%s)", work)
    process.work_off()
    rows = db.run(connection, logs.behind(Wanted(work), None, 10))
    assert [row.attempt for row in rows] == [1, 2]
