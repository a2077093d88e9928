"""Spans wait for their export: each is exported once, or dropped and counted."""

from __future__ import annotations

import threading

import pytest

from tributary_daemon.observers.span_queue import SpanQueue


def test_batches_are_as_large_as_was_said_and_in_order():
    queue = SpanQueue(most=10, batch=4)
    for number in range(9):
        queue.take(number)
    assert queue.due.is_set()
    assert [queue.next() for _ in range(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8], []]


def test_what_is_too_much_is_dropped_and_counted_once():
    queue = SpanQueue(most=5, batch=500)
    assert queue.batch == 5
    for number in range(8):
        queue.take(number)
    assert (queue.dropped(), queue.dropped()) == (3, 0)
    assert queue.next() == [0, 1, 2, 3, 4]


def test_who_waits_is_woken_by_a_batch_and_not_by_one():
    queue = SpanQueue(batch=2)
    queue.take(1)
    queue.wait(0.01)
    assert not queue.due.is_set()
    woken = threading.Thread(target=queue.wait, args=(60,))
    woken.start()
    queue.take(2)
    woken.join(20)
    assert not woken.is_alive()


@pytest.mark.parametrize(("most", "batch"), [(1, 1), (50, 50), (100, 7)])
def test_of_many_threads_nothing_is_lost_uncounted_or_exported_twice(most, batch):
    queue, taken, ended = SpanQueue(most, batch), [], threading.Event()

    def export():
        while True:
            last = ended.is_set()
            while found := queue.next():
                assert len(found) <= batch
                taken.extend(found)
            if last:
                return
            queue.wait(0.001)

    def end(first):
        for number in range(2000):
            queue.take(first + number)

    exporter = threading.Thread(target=export)
    threads = [threading.Thread(target=end, args=(at * 2000,)) for at in range(6)]
    for thread in (exporter, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    exporter.join(20)
    assert not exporter.is_alive()
    assert len(set(taken)) == len(taken)
    assert len(taken) + queue.dropped() == 12_000
