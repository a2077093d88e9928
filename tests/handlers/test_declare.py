"""The decorator: what it keeps, and which mistakes it names."""

from __future__ import annotations

import pytest

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.declare import handler, name_of
from tributary_daemon.handlers.registry import DuplicateHandlerError
from tributary_daemon.model.retry import Retry


def test_only_given_options_are_kept(registry):
    @handler("a.bare.v1")
    def bare(args: dict) -> None:
        """Do nothing, well.

        At length.
        """

    @handler(
        "a.full.v2",
        queue="media",
        priority=-5,
        max_attempts=1,
        timeout="1m30s",
        retry=Retry(delay="2s", on=("OSError",)),
        memory="512MiB",
        description="all of it",
    )
    async def full(args: dict) -> None: ...

    assert registry.get("a.bare.v1").options == {}
    assert registry.get("a.bare.v1").description == "Do nothing, well."
    assert not registry.get("a.bare.v1").is_async
    found = registry.get("a.full.v2")
    assert found.options == {
        "queue": "media",
        "priority": -5,
        "max_attempts": 1,
        "timeout": 90.0,
        "retry": Retry(delay=2.0, on=("OSError",)).to_json(),
    }
    assert (found.isolation, found.memory, found.description) == ("process", 512 * 2**20, "all of it")
    assert found.is_async


def test_a_handler_stays_callable_and_knows_its_name():
    @handler("a.double.v1")
    def double(x: int) -> int:
        return 2 * x

    assert double(4) == 8
    assert name_of(double) == "a.double.v1"
    assert name_of(print) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "charge",
        "charge.v",
        "charge.v0",
        "a..v1",
        ".v1",
        "a.b",
        "a.b.v1 ",
        "a b.v1",
        "1a.v1",
        7,
        "a." * 100 + "v1",
    ],
)
def test_names_are_dotted_and_versioned(name):
    with pytest.raises(HandlerError, match="is not a handler name") as caught:
        handler(name)
    assert "billing.charge.v1" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": " "}, "queue"),
        ({"priority": "high"}, "priority is 'high'"),
        ({"priority": True}, "priority is True"),
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"timeout": "soon"}, "timeout: 'soon' is not a duration"),
        ({"timeout": 0}, "timeout is 0"),
        ({"retry": {"delay": 1}}, "retry is"),
        ({"retry_if": "ValueError"}, "retry_if is not callable"),
        ({"isolation": "container"}, "unknown isolation 'container'"),
        ({"memory": "much"}, "memory 'much' is not a size"),
        ({"memory": 0}, "memory 0 is not a size"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(HandlerError) as caught:
        handler("a.b.v1", **options)
    assert str(caught.value).startswith("handler a.b.v1: ")
    assert message in str(caught.value)


def test_a_forgotten_call_is_explained():
    with pytest.raises(HandlerError, match="@handler needs a name"):

        @handler
        def nameless(args: dict) -> None: ...


def test_two_functions_of_one_name_are_told_with_both_places():
    @handler("a.b.v1")
    def first(args: dict) -> None: ...

    with pytest.raises(DuplicateHandlerError) as caught:

        @handler("a.b.v1")
        def second(args: dict) -> None: ...

    assert "first (" in caught.value.message
    assert "second (" in caught.value.message
    assert caught.value.message.count("test_declare.py:") == 2


def test_the_same_function_again_replaces_itself(registry):
    for _ in range(2):

        @handler("a.b.v1")
        def again(args: dict) -> None: ...

    assert registry.get("a.b.v1").declared is again


def test_what_is_no_function_is_refused():
    with pytest.raises(HandlerError, match="is not a function"):
        handler("a.b.v1")(int)
    with pytest.raises(HandlerError, match="is a generator"):

        @handler("a.b.v1")
        def rows(args: dict):
            yield 1

    with pytest.raises(HandlerError, match="classmethod"):

        class Shop:
            @handler("a.b.v1")
            @classmethod
            def sell(cls, args: dict) -> None: ...
