"""Nonces: each of its own, and drawn without giving up the interpreter."""

from __future__ import annotations

import sys
import threading
import time

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


@pytest.mark.skipif(cipher._getentropy is None, reason="this C library has no getentropy")
def test_who_seals_and_opens_keeps_the_interpreter():
    # nobody is made to give it up for a minute: who runs meanwhile was given it
    gate, others = threading.Lock(), []
    gate.acquire()

    def wait_for_a_turn():
        with gate:
            others.append(time.monotonic())

    thread = threading.Thread(target=wait_for_a_turn)
    thread.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        gate.release()
        for _ in range(10_000):
            cipher.decrypt(SECRET, RUN, cipher.encrypt(SECRET, RUN, b"text", b"head"), b"head")
        meanwhile = len(others)
    finally:
        sys.setswitchinterval(before)
    thread.join()
    assert (meanwhile, len(others)) == (0, 1)
