"""Keys: what tells results apart, and what does not."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.engine.caching import cache_key, canonical
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.caching import RUN_TTL, digest_of


@dataclass
class Lease:
    """As much of a lease as a key is made of."""

    payload: str = '{"a": 1, "b": [1, 2]}'
    run_id: str = "r1"
    tenant: str = ""
    name: str = "t.price.v1"


def key(cache=None, version="1", seen=None, **lease):
    return cache_key(Lease(**lease), cache or {"scope": "global"}, seen or {}, version)


def test_the_same_value_in_other_words_has_the_same_key():
    assert key(payload='{ "b":[1,2],\n"a":1}') == key()
    assert key(payload='{"a": "ü"}') == key(payload='{"a": "\\u00fc"}')


@pytest.mark.parametrize(
    "other",
    [
        {"payload": '{"a": 1, "b": [2, 1]}'},
        {"payload": '{"a": 1}'},
        {"payload": '{"a": "1", "b": [1, 2]}'},
        {"tenant": "acme"},
        {"name": "t.price.v2"},
        {"version": "2"},
        {"cache": {"scope": "run"}},
        {"cache": {"scope": "global", "key": "1"}},
    ],
    ids=str,
)
def test_everything_else_tells_results_apart(other):
    assert key(**other).digest != key().digest


def test_a_run_has_results_of_its_own():
    run = {"scope": "run"}
    assert key(run).digest != key(run, run_id="r2").digest
    assert key().digest == key(run_id="r2").digest
    assert (key(run).run_id, key(run).ttl) == ("r1", RUN_TTL)
    assert (key().run_id, key().ttl) == (None, None)
    assert key({"scope": "run", "ttl": 5.0}).ttl == 5.0


def test_a_key_that_is_given_stands_for_version_and_input_not_for_the_handler():
    by_day = {"scope": "global", "key": "day-${{ inputs.day }}"}
    seen = {"inputs": {"day": "mon", "many": [1, {"b": 1, "a": 2}]}}
    mine = key(by_day, seen=seen)
    assert key(by_day, version="2", payload="1", seen=seen) == mine
    assert mine.version is None
    assert key(by_day, seen=seen, name="t.other.v1").digest != mine.digest
    assert key(by_day, seen={"inputs": {"day": "tue"}}).digest != mine.digest
    # a list is not just any list
    lists = {"scope": "global", "key": "${{ inputs.many }}"}
    assert key(lists, seen=seen).digest != key(lists, seen={"inputs": {"many": []}}).digest


def test_an_empty_key_is_refused():
    with pytest.raises(InvalidInput, match="all results would share it"):
        key({"scope": "global", "key": "${{ inputs.day }}"}, seen={"inputs": {"day": ""}})


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_parts_count_with_their_lengths(left, right):
    assert (digest_of(left) == digest_of(right)) == (left == right)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
def test_canonical_text_is_its_own_canonical_text(value):
    try:
        text = canonical(json.dumps(value))
    except InvalidInput:
        # what no payload can hold
        return
    assert canonical(text) == text
    assert json.loads(text) == value
