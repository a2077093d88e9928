"""Masking of secret values, whole and in pieces."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.model.masking import Mask


def in_pieces(mask, data, cuts):
    """Mask a stream cut at these places."""
    stream = mask.stream()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    return b"".join([*map(stream.feed, pieces), stream.close()])


@pytest.mark.parametrize(
    ("values", "text", "masked"),
    [
        (["s3cret"], "the s3cret is s3cret", "the *** is ***"),
        (["s3cret"], "nothing here", "nothing here"),
        (["abcd", "cdef"], "xabcdefx", "x***x"),
        (["abc", "abcdef"], "abcdef abc", "*** ***"),
        (["aaa"], "aaaaaaa!", "***!"),
        (["first line\nsecond line"], "> second line <", "> *** <"),
        (['say "hi"'], '{"x": "say \\"hi\\""}', '{"x": "***"}'),
        (["a b/c"], "http://h/?q=a%20b%2Fc", "http://h/?q=***"),
        (["käse"], "k\u00e4se und k\\u00e4se", "*** und ***"),
        (["padded \n"], "it is padded.", "it is ***."),
        (["ab", "", "x"], "ab x", "ab x"),
    ],
)
def test_values_are_masked_in_texts(values, text, masked):
    assert Mask(values).text(text) == masked


def test_json_values_are_masked_all_through():
    masked = Mask(["s3cret"]).value({"a": ["x s3cret", 1, None], "s3cret": {"b": True}})
    assert masked == {"a": ["x ***", 1, None], "***": {"b": True}}


def test_a_value_split_over_pieces_is_masked():
    stream = Mask(["s3cret", "s3c"]).stream()
    assert stream.feed(b"say s3") == b"say "
    assert stream.feed(b"cr") == b""
    assert stream.feed(b"et!") == b"***!"
    assert stream.feed(b"s3cx") == b"***x"
    assert stream.feed(b"s3") == b""
    assert stream.close() == b"s3"


def test_what_is_written_as_masked_is_not_marked_twice():
    stream = Mask(["abcd", "cdef"]).stream()
    assert stream.feed(b"abcd") == b"***"
    assert stream.feed(b"ef.") == b"."


@given(
    st.lists(st.text("ab", min_size=3, max_size=6), min_size=1, max_size=3),
    st.text("abc", max_size=40),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_pieces_never_tell_more_than_the_whole(values, text, cuts):
    mask = Mask(values)
    assert in_pieces(mask, text.encode(), cuts).decode() == mask.text(text)


def test_a_mask_travels_and_does_not_show_itself():
    mask = pickle.loads(pickle.dumps(Mask(["s3cret"])))
    assert mask.text("s3cret") == "***"
    assert "s3cret" not in repr(mask)
    assert not Mask([])
    assert Mask(["abc"])
