"""Resources: declared, asked for by annotation, and kept out of the payload."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import pytest
from pydantic import BaseModel

from tributary_daemon import Step, Use, handler, resource
from tributary_daemon.client.local import Local
from tributary_daemon.errors import HandlerError, InvalidWorkflow
from tributary_daemon.handlers.overrides import in_force, override, replacements
from tributary_daemon.handlers.resources import record_of
from tributary_daemon.spec.loader import load_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from nowhere import Unknown


class Bank:
    pass


class Speaks(Protocol):
    def speak(self) -> str: ...


class Charge(BaseModel):
    cents: int


@resource
def open_bank() -> Bank:
    return Bank()


@resource
async def open_session() -> AsyncIterator[Bank]:
    yield Bank()


def test_a_marked_parameter_is_no_part_of_the_payload(registry):
    @handler("a.b.v1")
    def charge(bank: Annotated[Bank, Use(open_bank)], args: Charge, step: Step) -> int:
        return args.cents

    signature = registry.get("a.b.v1").signature
    assert signature.whole is Charge
    assert signature.names == ("args",)
    assert signature.resources == {"bank": record_of(open_bank)}
    assert signature.validate('{"cents": 3}') == {"args": Charge(cents=3)}
    assert set(signature.input_schema()["properties"]) == {"cents"}


def test_parameters_beside_it_bind_by_name(registry):
    @handler("a.b.v1")
    def charge(cents: int, to: str, bank: Annotated[Bank, Use(open_bank)]) -> int:
        return cents

    signature = registry.get("a.b.v1").signature
    assert signature.validate('{"cents": 3, "to": "a"}') == {"cents": 3, "to": "a"}
    assert [fault.path for fault in signature.faults('{"cents": 3, "to": "a", "bank": {}}')] == [("bank",)]
    assert "bank" not in str(signature.input_schema())


def test_a_handler_that_asks_for_nothing_else_takes_no_payload(registry):
    @handler("a.b.v1")
    def tidy(bank: Annotated[Bank, Use(open_bank)]) -> None: ...

    assert registry.get("a.b.v1").signature.validate("{}") == {}


def test_a_workflow_does_not_see_it_as_an_input(registry):
    @handler("a.b.v1")
    def charge(cents: int, bank: Annotated[Bank, Use(open_bank)]) -> int:
        return cents

    text = "name: t.v1\nsteps: {a: {task: a.b.v1, with: {cents: 3%s}}}\n"
    load_text(text % "", file="f.yaml", signatures=Local())
    with pytest.raises(InvalidWorkflow, match=r"unknown 'bank'.*\n(.*\n)*.*it takes: cents"):
        load_text(text % ", bank: {}", file="f.yaml", signatures=Local())
    assert registry.get("a.b.v1").signature.takes == {}


def test_the_function_is_called_by_hand_as_ever(registry):
    @handler("a.b.v1")
    def charge(args: Charge, bank: Annotated[Bank | None, Use(open_bank)] = None) -> object:
        return bank

    assert charge(Charge(cents=1)) is None
    assert charge(Charge(cents=1), bank="by hand") == "by hand"
    assert isinstance(open_bank(), Bank)


def test_only_a_resource_can_be_used():
    def plain() -> Bank: ...

    with pytest.raises(HandlerError, match=r"plain is no resource\n.*@resource"):
        Use(plain)
    with pytest.raises(HandlerError, match="is no resource"):
        Use(Bank)


def test_only_a_function_can_be_a_resource():
    with pytest.raises(HandlerError, match="not a function"):
        resource(Bank())
    with pytest.raises(HandlerError, match="unknown scope 'run'"):
        resource(scope="run")


def test_a_sync_handler_cannot_get_an_async_resource():
    with pytest.raises(HandlerError, match="v1 is a plain function and cannot get the async res"):

        @handler("a.b.v1")
        def charge(bank: Annotated[Bank, Use(open_session)]) -> None: ...

    @handler("a.b.v2")
    async def acharge(
        bank: Annotated[Bank, Use(open_session)], two: Annotated[Bank, Use(open_bank)]
    ) -> None: ...


def test_a_sync_resource_cannot_get_one_either():
    @resource
    def inner(session: Annotated[Bank, Use(open_session)]) -> Bank:
        return session

    with pytest.raises(
        HandlerError, match=r"resource .*inner is a plain function .* async resource .*open_session"
    ):

        @handler("a.b.v1")
        async def charge(bank: Annotated[Bank, Use(inner)]) -> None: ...


@resource
def chicken(egg: Annotated[Bank, Use(egg)]) -> Bank:
    return egg


@resource
def egg(nest: Annotated[Bank, Use(nest)]) -> Bank:
    return nest


@resource
def nest(chicken: Annotated[Bank, Use(chicken)]) -> Bank:
    return chicken


def test_a_circle_is_named():
    names = " -> ".join(f"{__name__}.{each}" for each in ("egg", "nest", "chicken", "egg"))
    with pytest.raises(HandlerError, match=rf"handler a.b.v1: resources need each other: {names}|{names}"):

        @handler("a.b.v1")
        def hatch(egg: Annotated[Bank, Use(egg)]) -> None: ...


def test_what_lives_longer_keeps_nothing_that_lives_shorter():
    @resource(scope="attempt")
    def cursor() -> Bank:
        return Bank()

    @resource
    def cache(cursor: Annotated[Bank, Use(cursor)]) -> Bank:
        return cursor

    with pytest.raises(HandlerError, match=r"cache lives as long as its process and cannot keep .*cursor"):

        @handler("a.b.v1")
        def charge(bank: Annotated[Bank, Use(cache)]) -> None: ...


def test_a_parameter_that_nothing_can_be_given_for_is_named():
    @resource
    def lonely(url: str) -> Bank: ...

    with pytest.raises(HandlerError, match="nothing can be given for its parameter 'url'"):

        @handler("a.b.v1")
        def charge(bank: Annotated[Bank, Use(lonely)]) -> None: ...

    @resource
    def stepped(step: Step) -> Bank: ...

    with pytest.raises(HandlerError, match="parameter 'step'"):

        @handler("a.b.v2")
        def other(bank: Annotated[Bank, Use(stepped)]) -> None: ...


def test_the_step_and_defaults_are_no_lack():
    @resource(scope="attempt")
    def stepped(step: Step, bank: Annotated[Bank, Use(open_bank)], url: str = "here") -> Bank:
        return bank

    wants = record_of(stepped).wants
    assert (wants.step_name, list(wants.resources)) == ("step", ["bank"])


def test_another_type_than_what_is_made_is_refused():
    @resource
    def number() -> Iterator[int]:
        yield 1

    # its Iterator is there for type checkers only: nothing is known
    assert record_of(number).made is Any

    @resource
    def text() -> str:
        return ""

    with pytest.raises(HandlerError, match=r"'bank' .* of another type than what .*text makes: str"):

        @handler("a.b.v1")
        def charge(bank: Annotated[Bank, Use(text)]) -> None: ...

    @handler("a.b.v2")
    def fine(bank: Annotated[Speaks, Use(text)], other: Annotated[object, Use(text)]) -> None: ...


def test_a_type_that_only_the_type_checker_knows_may_be_what_it_returns(registry):
    @resource
    def vague(bank: Annotated[Bank, Use(open_bank)]) -> Unknown:
        return bank

    @handler("a.b.v1")
    def charge(bank: Annotated[Bank, Use(vague)]) -> None: ...

    assert list(registry.get("a.b.v1").signature.resources) == ["bank"]


def test_a_type_that_only_the_type_checker_knows_may_not_be_a_parameter(registry):
    @resource
    def vague(bank: Annotated[Unknown, Use(open_bank)]) -> Bank:
        return bank

    @handler("a.b.v1")
    def charge(bank: Annotated[Bank, Use(vague)]) -> None: ...

    with pytest.raises(HandlerError, match="'Unknown' in its signature is not defined"):
        registry.bind()


def test_what_closes_the_resource_of_an_attempt_must_not_be_passed_over():
    with pytest.raises(HandlerError, match="would not run when the handler fails"):

        @resource(scope="attempt")
        def naive() -> Iterator[int]:
            yield 1
            print("closed")

    @resource(scope="attempt")
    def careful() -> Iterator[int]:
        try:
            yield 1
        finally:
            print("closed")

    @resource(scope="attempt")
    async def within() -> AsyncIterator[int]:
        async with contextlib.AsyncExitStack():
            yield 1

    @resource(scope="attempt")
    def nothing_follows() -> Iterator[int]:
        found = 1
        yield found

    @resource
    def of_a_process() -> Iterator[int]:
        yield 1
        print("closed")


def test_what_stands_in_is_a_value_or_a_function():
    bank = Bank()
    found = record_of(open_bank)
    (made,) = replacements({open_bank: bank}).values()
    assert made.function() is bank
    with override(open_bank, bank):
        assert in_force()[found].function() is bank
        with override(open_bank, lambda: "another"):
            assert in_force()[found].function() == "another"
        assert in_force()[found].function() is bank
    assert found not in in_force()
    with pytest.raises(HandlerError, match="cannot stand in for"):
        replacements({open_bank: open_session})
    with pytest.raises(HandlerError, match="is no resource"):
        replacements({Bank: bank})


def test_what_stands_in_must_not_need_what_it_stands_in_for():
    def wrapped(real: Annotated[Bank, Use(open_bank)]) -> Bank:
        return real

    with pytest.raises(HandlerError, match="need each other"):
        replacements({open_bank: wrapped})
