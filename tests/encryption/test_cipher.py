"""Nonces: each of its own, and drawn without giving up the interpreter."""

from __future__ import annotations

import os
import resource
import threading
import time
from contextlib import contextmanager

import pytest

from tributary_daemon.sealing import cipher

SECRET = bytes(range(32))
RUN = "01900000-0000-7000-8000-000000000001"


@pytest.fixture(params=["getentropy", "no such call", "a call that fails"])
def source(request, monkeypatch):
    """Where nonces come from."""
    if request.param == "no such call":
        monkeypatch.setattr(cipher, "_getentropy", None)
    elif request.param == "a call that fails":
        monkeypatch.setattr(cipher, "_getentropy", lambda _buffer, _size: -1)
    elif cipher._getentropy is None:
        pytest.skip("this C library has no getentropy")
    return request.param


@pytest.mark.usefixtures("source")
def test_every_nonce_is_another_one_and_its_value_is_opened():
    sealed = [cipher.encrypt(SECRET, RUN, b"text", b"head") for _ in range(2_000)]
    assert len({one[:12] for one in sealed}) == len(sealed)
    assert all(len(one) == 12 + len(b"text") + 16 for one in sealed)
    assert {cipher.decrypt(SECRET, RUN, one, b"head") for one in sealed} == {b"text"}
    # no byte of a nonce is left as it was made
    assert all(len({one[at] for one in sealed}) > 200 for at in range(12))


def waits():
    """Return how often this thread has given up its core by itself."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


@contextmanager
def busy(count):
    """So many threads that compute."""
    ended = threading.Event()

    def compute():
        while not ended.is_set():
            pass

    threads = [threading.Thread(target=compute) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.skipif(cipher._getentropy is None, reason="this C library has no getentropy")
def test_who_seals_beside_busy_threads_keeps_the_interpreter():
    def turns(draw):
        """Return how often this thread had to wait for the interpreter."""
        before = waits()
        for _ in range(3_000):
            draw()
        return waits() - before

    with busy(4):
        time.sleep(0.05)
        kept = min(turns(cipher._nonce) for _ in range(3))
        given = max(turns(lambda: os.urandom(12)) for _ in range(3))
    assert kept * 5 < given
