"""Traps that only several connections at once walk into."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest

from tests.store import protocol_kit as kit


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


@pytest.fixture
def runs_of(connection):
    kit.offer(connection)

    def submit(spec, count):
        revision = kit.save(connection, spec)
        return [
            row[0]
            for row in connection.execute(
                """select r.run_id::text from generate_series(1, %s) as n
                   cross join lateral tributary.submit_run(
                       %s, %s, '{}', null, null, null, null, jsonb_build_object('n', n),
                       '', null, null, null) as r""",
                (count, revision, spec.name),
            )
        ]

    return submit


def drain(process, total, done, *, most, seconds=90):
    """Claim and finish batches until ``total`` attempts are done by all who share ``done``."""
    deadline = time.monotonic() + seconds
    while len(done) < total and time.monotonic() < deadline:
        # who has been silent for ten seconds claims nothing, and under load this takes longer
        process.beat()
        claimed = process.claim(most)
        assert process.finish(claimed) == []
        done.extend((item.run_id, item.ordinal) for item in claimed)


def drain_together(database, total, *, workers, most):
    done = []
    with kit.connections(database, workers) as opened:
        processes = [kit.Process(connection) for connection in opened]
        kit.together(*(lambda p=p: drain(p, total, done, most=most) for p in processes))
    assert len(done) == len(set(done)) == total


def test_dense_layers_finished_in_overlapping_batches_by_four_processes(database, connection, runs_of):
    """Six runs of 100 parents and 100 children, every child needing every parent."""
    upper = {f"p{number}": () for number in range(100)}
    lower = {f"c{number}": tuple(upper) for number in range(100)}
    runs = runs_of(kit.workflow("w.dense.v1", {**upper, **lower}), 6)
    connection.execute("analyze")
    deadlocks = []
    with kit.connections(database, 4) as opened:
        processes = [kit.Process(one) for one in opened]
        held = [claimed for process in processes for claimed in process.claim(150)]
        assert len(held) == 600
        # every process holds rows of every run, in an order of its own
        random.Random(1).shuffle(held)

        def finish(process, mine):
            for start in range(0, len(mine), 7):
                try:
                    assert process.finish(mine[start : start + 7]) == []
                except psycopg.errors.DeadlockDetected as error:
                    deadlocks.append(error)

        kit.together(*(lambda n=n, p=p: finish(p, held[n::4]) for n, p in enumerate(processes)))
        assert deadlocks == []
        done = []
        kit.together(*(lambda p=p: drain(p, 600, done, most=23) for p in processes))
    assert len(done) == len(set(done)) == 600
    assert connection.execute(
        "select state::text, remaining, count(*) from tributary.runs group by 1, 2"
    ).fetchall() == [("completed", 0, len(runs))]


def test_children_start_after_their_parents_ended(database, connection, runs_of):
    """3,000 steps, four processes, small batches."""
    chain = {f"s{number}": (f"s{number - 1}",) if number else () for number in range(10)}
    runs_of(kit.workflow("w.chain.v1", chain), 300)
    drain_together(database, 3000, workers=4, most=20)
    early, pairs = connection.execute(
        """select count(*) filter (where child.claimed_at < parent.finished_at), count(*)
           from tributary.edges e
           join tributary.steps parent on parent.run_id = e.run_id and parent.ordinal = e.parent
           join tributary.steps child on child.run_id = e.run_id and child.ordinal = e.child"""
    ).fetchone()
    assert (early, pairs) == (0, 2700)
    assert connection.execute("select distinct state::text, attempt from tributary.steps").fetchall() == [
        ("completed", 1)
    ]


@pytest.mark.parametrize("result", [None, 1], ids=["without-result", "with-result"])
def test_the_last_two_steps_finish_together_and_the_run_completes_once(database, connection, runs_of, result):
    runs_of(kit.workflow("w.v1", {"a": (), "b": ()}, result=result), 200)
    connection.execute("""
        create table public.ends (run_id uuid);
        create function public.log_end() returns trigger language plpgsql as $$
        begin insert into public.ends values (new.run_id); return null; end $$;
        create trigger ends after update on tributary.runs for each row
            when (old.finished_at is null and new.finished_at is not null) execute function public.log_end()
    """)
    with kit.connections(database, 2) as opened:
        one, two = [kit.Process(c) for c in opened]
        held = {}
        for claimed in one.claim(400):
            held.setdefault(claimed.run_id, []).append(claimed)
        pairs = list(held.values())
        assert [len(pair) for pair in pairs] == [2] * 200
        barrier = threading.Barrier(2)

        def finish(process, which):
            for pair in pairs:
                barrier.wait(30)
                assert process.finish([pair[which]]) == []

        kit.together(lambda: finish(one, 0), lambda: finish(two, 1))
    if result is not None:
        assert kit.Process(connection).work_off() == 200
    assert kit.scalar(connection, "select count(*) from public.ends") == 200
    assert kit.scalar(connection, "select count(distinct run_id) from public.ends") == 200
    assert kit.scalar(connection, "select count(*) from tributary.runs where state = 'completed'") == 200


def test_rescue_and_the_finish_of_one_believed_dead_never_deadlock(database, connection, eventually):
    """Both hold rows of the same batch, brought in opposite orders, when the row in the middle comes free."""
    kit.offer(connection)
    connection.execute("select tributary.submit_intent(%s) from generate_series(1, 21)", (kit.NAME,))
    with kit.connections(database, 4) as (first, second, holder, observer):
        stale, other = kit.Process(first), kit.Process(second)
        claimed = sorted(stale.claim())
        refused = []
        threads = [
            threading.Thread(target=lambda: refused.extend(stale.finish(claimed[::-1]))),
            threading.Thread(target=lambda: refused.extend(other.finish(claimed, "released"))),
        ]
        with holder.transaction():
            holder.execute("select from tributary.steps where run_id = %s for update", (claimed[10].run_id,))
            for thread, pid in zip(threads, map(kit.backend, (first, second)), strict=True):
                thread.start()
                eventually(lambda pid=pid: kit.waits(observer, pid), what="the finish waits")
        for thread in threads:
            thread.join(20)
        # each token was accepted from exactly one of them
        assert sorted(refused) == [(item.run_id, item.ordinal, item.seq) for item in claimed]


def test_cancels_and_finishes_of_the_same_runs_never_deadlock(database, connection, runs_of):
    steps = {f"s{number}": () if number < 5 else (f"s{number - 5}",) for number in range(10)}
    runs = runs_of(kit.workflow("w.v1", steps), 60)
    with kit.connections(database, 3) as opened:
        processes = [kit.Process(one) for one in opened[:2]]
        stop = threading.Event()

        def work(process):
            while not stop.is_set():
                process.finish(process.claim(17))
            while claimed := process.claim(50):
                process.finish(claimed)

        def cancel():
            try:
                for run in runs[::2]:
                    try:
                        opened[2].execute("select tributary.cancel(%s)", (run,))
                    except psycopg.Error as error:
                        assert error.sqlstate == "TR004", error  # noqa: PT017 - it had ended
            finally:
                stop.set()

        kit.together(cancel, *(lambda p=p: work(p) for p in processes))
        while claimed := processes[0].claim(50):
            processes[0].finish(claimed)
    ended = dict(connection.execute("select state::text, count(*) from tributary.runs group by 1").fetchall())
    assert sum(ended.values()) == 60
    assert set(ended) <= {"completed", "cancelled"}


def test_a_claimed_row_has_one_owner(database, connection):
    kit.offer(connection)
    connection.execute("select tributary.submit_intent(%s) from generate_series(1, 4000)", (kit.NAME,))
    drain_together(database, 4000, workers=4, most=50)
    assert connection.execute("select distinct state::text, attempt from tributary.steps").fetchall() == [
        ("completed", 1)
    ]
