"""Nonces and salts: each of its own, and used without giving up the interpreter."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import time

from tributary_daemon.sealing.cipher import MOST, Cipher

SECRET = bytes(range(32))


def sealed(cipher, text="text", head="head"):
    sealer = cipher.sealer()
    return sealer.salt, *sealer.encrypt(text, head)


def test_every_nonce_is_another_one_and_its_value_is_opened():
    cipher = Cipher(SECRET)
    written = [sealed(cipher) for _ in range(2_000)]
    nonces = {base64.b64decode(nonce) for _, nonce, _ in written}
    assert len(nonces) == len(written)
    assert {len(nonce) for nonce in nonces} == {12}
    assert all(len(base64.b64decode(data)) == len("text") + 16 for _, _, data in written)
    assert {Cipher(SECRET).decrypt(*one, "head") for one in written} == {"text"}
    # no byte of a nonce is left as it was made
    assert all(len({nonce[at] for nonce in nonces}) > 200 for at in range(12))


def test_threads_share_no_nonce():
    cipher, drawn = Cipher(SECRET), [[] for _ in range(8)]
    start = threading.Barrier(len(drawn))

    def draw(mine):
        start.wait()
        mine.extend(sealed(cipher)[1] for _ in range(5_000))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=draw, args=(mine,)) for mine in drawn]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len({nonce for mine in drawn for nonce in mine}) == 8 * 5_000


def test_what_is_not_what_it_was_is_not_opened():
    cipher = Cipher(SECRET)
    salt, nonce, data = sealed(cipher)
    assert cipher.decrypt(salt, nonce, data, "head") == "text"
    assert cipher.decrypt(salt, nonce, data, "other") is None
    assert cipher.decrypt("another", nonce, data, "head") is None
    assert Cipher(bytes(32)).decrypt(salt, nonce, data, "head") is None
    _, other, others = sealed(cipher)
    for changed in (
        (other, data),
        (nonce, others),
        ("", data),
        ("AAAA", data),
        ("\u00e9", data),
        (nonce, ""),
    ):
        assert cipher.decrypt(salt, *changed, "head") is None
    for changed in (data[:-4], data[4:], "A" + data, data + "\u00e9", data[:-3] + "   ", "AAAA"):
        assert cipher.decrypt(salt, nonce, changed, "head") is None


def test_a_salt_serves_so_many_values_and_each_process_has_its_own():
    cipher = Cipher(SECRET)
    first = cipher.sealer()
    assert cipher.sealer() is first
    assert cipher.decrypt(*sealed(cipher), "head") == "text"
    first.left = 1
    before = sealed(cipher)
    after = sealed(cipher)
    assert before[0] == first.salt != after[0]
    assert [cipher.decrypt(*one, "head") for one in (before, after)] == ["text", "text"]
    assert Cipher(SECRET).sealer().salt not in (before[0], after[0])
    assert MOST < 2**32


def test_more_salts_than_are_kept_are_read():
    many = [sealed(Cipher(SECRET), str(number)) for number in range(2_500)]
    cipher = Cipher(SECRET)
    assert [cipher.decrypt(*one, "head") for one in many] == [str(number) for number in range(2_500)]
    assert cipher.decrypt(*many[0], "head") == "0"


def test_a_forked_process_draws_nonces_of_its_own():
    # in a process of its own: one with threads is not to be forked
    program = """
import os, sys
from tributary_daemon.sealing.cipher import Cipher
cipher = Cipher(bytes(32))
cipher.sealer().encrypt("text", "head")
child = os.fork()
sealer = cipher.sealer()
os.write(1, (sealer.salt + sealer.encrypt("text", "head")[0]).encode())
if child:
    sys.exit(os.waitpid(child, 0)[1])
os._exit(0)
"""
    drawn = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    ).stdout
    # a salt and a nonce, of twelve bytes each in base64
    assert len(drawn) == 64
    assert drawn[:16] != drawn[32:48]
    assert drawn[16:32] != drawn[48:]


def test_who_seals_and_opens_keeps_the_interpreter():
    # nobody is made to give it up for a minute: who runs meanwhile was given it
    cipher, gate, others = Cipher(SECRET), threading.Lock(), []
    # its salt is drawn once in a process
    cipher.sealer()
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
            cipher.decrypt(*sealed(cipher), "head")
        meanwhile = len(others)
    finally:
        sys.setswitchinterval(before)
    thread.join()
    assert (meanwhile, len(others)) == (0, 1)
