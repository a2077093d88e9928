"""Results are written the quick way only where a broken promise would be noticed, whatever others filter."""

from __future__ import annotations

import sys
import warnings

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, SchemaSerializer

from tributary_daemon.handlers import promises
from tributary_daemon.handlers.promises import Watch, kept


class Number(BaseModel):
    i: int


WRITER = TypeAdapter(Number).serializer
GOOD, BROKEN = Number(i=1), Number.model_construct(i="text")


@pytest.fixture(autouse=True)
def filters():
    """Whatever a test does to the filters ends with it."""
    with warnings.catch_warnings():
        yield


@pytest.fixture
def watch():
    watch = Watch()
    watch.put_up()
    assert watch.stands(), "this pydantic warns as expected: without that every result takes the slow way"
    return watch


def test_what_keeps_its_promise_is_written(watch):
    assert kept(WRITER, GOOD, watch) == b'{"i":1}'


def test_what_breaks_it_is_not(watch):
    assert kept(WRITER, BROKEN, watch) is None


def test_the_first_result_puts_the_filter_up():
    watch = Watch()
    assert kept(WRITER, GOOD, watch) is None
    assert kept(WRITER, GOOD, watch) == b'{"i":1}'


@pytest.mark.parametrize(
    "change",
    [lambda: warnings.simplefilter("ignore"), warnings.resetwarnings, lambda: warnings.simplefilter("error")],
)
def test_filters_that_others_put_before_it_are_noticed(watch, change):
    change()
    assert kept(WRITER, BROKEN, watch) is None
    assert kept(WRITER, GOOD, watch) == b'{"i":1}', "it is the first again"
    assert kept(WRITER, BROKEN, watch) is None


def test_filters_that_change_meanwhile_are_noticed(watch):
    class Meddling:
        def to_json(self, value, *, warnings):
            sys.modules["warnings"].simplefilter("ignore")
            return WRITER.to_json(value, warnings=warnings)

    assert kept(Meddling(), BROKEN, watch) is None
    assert kept(WRITER, BROKEN, watch) is None


def test_a_pydantic_that_warns_otherwise_gets_no_second_try(monkeypatch):
    monkeypatch.setattr(promises, "_goes_unnoticed", lambda: True)
    watch = Watch()
    for _ in range(3):
        assert kept(WRITER, GOOD, watch) is None
    monkeypatch.undo()
    assert kept(WRITER, GOOD, watch) is None


def test_what_cannot_be_written_at_all_is_an_error(watch):
    with pytest.raises(PydanticSerializationError):
        kept(SchemaSerializer({"type": "any"}), object(), watch)


def test_warnings_of_others_are_left_alone():
    warnings.simplefilter("ignore")
    watch = Watch()
    watch.put_up()
    assert watch.stands()
    assert BROKEN.model_dump_json() == '{"i":"text"}'
