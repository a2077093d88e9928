"""The format of `$TRIB_OUTPUT`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.handlers.builtin.outputs import (
    MAX_BYTES,
    InvalidOutputError,
    parse_outputs,
    read_outputs,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("a=1\n", {"a": "1"}),
        ("a=1\nb=\n\na=2", {"a": "2", "b": ""}),
        ("url=http://x/?q=1<<2\n", {"url": "http://x/?q=1<<2"}),
        ("a<<E\none\n\ntwo=2\nE\nb=1\n", {"a": "one\n\ntwo=2", "b": "1"}),
        ("a<<E\nE\n", {"a": ""}),
        ("a<<x=y\nv\nx=y\n", {"a": "v"}),
        ("a=1\r\nb<<E\r\nv\r\nE\r\n", {"a": "1", "b": "v"}),
        ("a= padded \n", {"a": " padded "}),
    ],
)
def test_forms(text, found):
    assert parse_outputs(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain words\n", "line 1 .* neither key=value nor"),
        ("a=1\n=2\n", "line 2 .* has no key"),
        ("<<E\nE\n", "line 1 .* has no key"),
        ("a<<\nx\n", "write a<<WORD"),
        ("a<<E\nx\n", "in line 1 is never closed by a line 'E'"),
    ],
)
def test_faults_name_the_line(text, said):
    with pytest.raises(InvalidOutputError, match=said):
        parse_outputs(text)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_outputs(text)
    except InvalidOutputError:
        return
    assert all(isinstance(value, str) for value in found.values())


def test_files(tmp_path):
    file = tmp_path / "out"
    assert read_outputs(file) == {}
    file.write_bytes(b"a=\xff")
    with pytest.raises(InvalidOutputError, match="not UTF-8"):
        read_outputs(file)
    file.write_bytes(b"a=" + b"x" * MAX_BYTES)
    with pytest.raises(InvalidOutputError, match="more than 1 MiB"):
        read_outputs(file)
