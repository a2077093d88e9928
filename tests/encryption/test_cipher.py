"""Nonces: each of its own, and drawn without giving up the interpreter."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from tributary_daemon.sealing import cipher

SECRET = bytes(range(32))
RUN = "01900000-0000-7000-8000-000000000001"


def test_every_nonce_is_another_one_and_its_value_is_opened():
    sealed = [cipher.encrypt(SECRET, RUN, b"text", b"head") for _ in range(2_000)]
    assert len({one[:12] for one in sealed}) == len(sealed)
    assert all(len(one) == 12 + len(b"text") + 16 for one in sealed)
    assert {cipher.decrypt(SECRET, RUN, one, b"head") for one in sealed} == {b"text"}
    # no byte of a nonce is left as it was made
    assert all(len({one[at] for one in sealed}) > 200 for at in range(12))


def test_a_forked_process_draws_nonces_of_its_own():
    # in a process of its own: one with threads is not to be forked
    program = """
import os, sys
from tributary_daemon.sealing import cipher
cipher.encrypt(bytes(32), "run", b"text", b"head")
child = os.fork()
os.write(1, cipher.encrypt(bytes(32), "run", b"text", b"head")[:12])
if child:
    sys.exit(os.waitpid(child, 0)[1])
os._exit(0)
"""
    drawn = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    ).stdout
    assert len(drawn) == 24
    assert drawn[:12] != drawn[12:]


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
