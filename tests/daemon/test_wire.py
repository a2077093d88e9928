"""What an isolated process answers is read by a closed list of classes."""

from __future__ import annotations

import os
import pickle
import socket
import struct
from pathlib import Path

import pytest

from tributary_daemon.daemon.chunks import Chunk, Piece
from tributary_daemon.daemon.wire import Answer, Ask, Beat, Said, Started, receive_answer, send
from tributary_daemon.model.outcome import (
    Completed,
    Discarded,
    ErrorRecord,
    Failed,
    Released,
    Skipped,
    Snoozed,
)

ERROR = ErrorRecord("E", "x", 1, "crashed", -9, "trace")
CHUNK = Chunk(("id", 0, 1), 0, 1, 0, (Piece(1.0, "log", b"x", 1, level="info", fields="{}"),), (1, 2))


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize(
    "message",
    [
        Started(), Beat('{"a": 1}'), Said((CHUNK,)), Ask(), Answer(None), Answer(Completed("1")),
        Answer(Failed(ERROR, 2.5)), Answer(Discarded(ERROR, abort_run=True)), Answer(Snoozed(1.0)),
        Answer(Released()), Answer(Skipped({"a": [None, 1.5, "x"]})),
    ],
    ids=repr,
)  # fmt: skip
def test_answers_arrive_as_they_were(ends, message):
    send(ends[0], message)
    assert receive_answer(ends[1], 20) == message


class Harm:
    """Calls a function when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_what_is_no_answer_calls_nothing(ends, tmp_path):
    path = str(tmp_path / "harm")
    for message in (Harm(path), Answer(Harm(path)), Beat(Harm(path))):
        send(ends[0], message)
        with pytest.raises(EOFError, match="mkdir"):
            receive_answer(ends[1], 20)
    assert not Path(path).exists()
    pickle.loads(pickle.dumps(Harm(path)))
    assert Path(path).exists()  # it would have


def test_bytes_without_sense_end_the_conversation(ends):
    for data in (b"", b"x", b"\x80\x05.", pickle.dumps(Answer)[:-4], b"cos\nsystem\n(S'id'\ntR."):
        ends[0].sendall(struct.pack("!I", len(data)) + data)
        with pytest.raises(EOFError):
            receive_answer(ends[1], 20)
