"""The queue between the database thread and the handler threads."""

from __future__ import annotations

import threading
import time

from tributary_daemon.daemon.handoff import Handoff


def bed():
    lock = threading.Lock()
    lock.acquire()
    return lock


class Receiver(threading.Thread):
    """Takes items until it gets None, and notes them."""

    def __init__(self, queue, pause=0.0):
        super().__init__(daemon=True)
        self.queue, self.pause = queue, pause
        self.got = []

    def run(self):
        own = bed()
        while (item := self.queue.get(own)) is not None:
            self.got.append(item)
            time.sleep(self.pause)


def test_every_item_reaches_exactly_one_receiver_whatever_the_timing():
    queue = Handoff()
    receivers = [Receiver(queue) for _ in range(6)]
    for receiver in receivers:
        receiver.start()

    def send(base):
        for n in range(0, 3_000, 3):
            queue.put([base + n, base + n + 1, base + n + 2])
            if n % 7 == 0:
                time.sleep(0)  # lets receivers run dry and go to sleep in the middle of it

    senders = [threading.Thread(target=send, args=(k * 10_000,)) for k in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(30)
    queue.put([None] * len(receivers))
    for receiver in receivers:
        receiver.join(30)
        assert not receiver.is_alive()
    got = sorted(item for receiver in receivers for item in receiver.got)
    assert got == sorted(k * 10_000 + n for k in range(3) for n in range(3_000))


def test_items_one_at_a_time_never_wait_while_a_receiver_is_idle():
    queue = Handoff()
    arrived = threading.Semaphore(0)

    class Prompt(Receiver):
        def run(self):
            own = bed()
            while self.queue.get(own) is not None:
                arrived.release()

    receivers = [Prompt(queue) for _ in range(4)]
    for receiver in receivers:
        receiver.start()
    for n in range(5_000):
        queue.put([n])
        # a wake-up that is lost shows here at once: nothing else would rouse anybody
        assert arrived.acquire(timeout=10), n
    queue.put([None] * 4)
    for receiver in receivers:
        receiver.join(10)
        assert not receiver.is_alive()


class Bed:
    """What a receiver sleeps on, and how often it was roused from it."""

    def __init__(self):
        self._lock = bed()
        self.roused = 0

    def acquire(self):
        self._lock.acquire()
        self.roused += 1

    def release(self):
        self._lock.release()


def test_an_item_rouses_one_receiver_and_no_other(eventually):
    queue = Handoff()
    beds = [Bed() for _ in range(4)]
    arrived = threading.Semaphore(0)

    def serve(own):
        while queue.get(own) is not None:
            arrived.release()

    receivers = [threading.Thread(target=serve, args=(own,), daemon=True) for own in beds]
    for receiver in receivers:
        receiver.start()
    for n in range(500):
        eventually(lambda: len(queue._idle) == len(beds), what="all of them sleep")
        queue.put([n])
        assert arrived.acquire(timeout=10)
    eventually(lambda: len(queue._idle) == len(beds), what="all of them sleep")
    assert sum(own.roused for own in beds) == 500
    assert max(own.roused for own in beds) == 500, "the one that waited least"
    queue.put([None] * len(beds))
    for receiver in receivers:
        receiver.join(10)
        assert not receiver.is_alive()


def test_several_items_start_on_several_threads_at_once():
    queue = Handoff()
    together = threading.Barrier(4, timeout=10)

    class Meeting(Receiver):
        def run(self):
            own = bed()
            while self.queue.get(own) is not None:
                together.wait()

    receivers = [Meeting(queue) for _ in range(4)]
    for receiver in receivers:
        receiver.start()
    for _ in range(50):
        queue.put([1, 2, 3, 4])
    queue.put([None] * 4)
    for receiver in receivers:
        receiver.join(20)
        assert not receiver.is_alive()
    assert not together.broken


def test_one_receiver_gets_items_in_their_order():
    queue = Handoff()
    queue.put(range(100))
    queue.put([None])
    receiver = Receiver(queue)
    receiver.start()
    receiver.join(10)
    assert receiver.got == list(range(100))


def test_what_is_taken_back_reaches_nobody():
    queue = Handoff()
    queue.put([1, 2, 3])
    assert queue.take_back() == [1, 2, 3]
    assert queue.take_back() == []
    queue.put([4, None])
    receiver = Receiver(queue)
    receiver.start()
    receiver.join(10)
    assert receiver.got == [4]
