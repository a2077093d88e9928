"""Signatures: how payloads become arguments and answers JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, Field

from tributary_daemon.errors import CodecError, HandlerError, InvalidInput
from tributary_daemon.handlers.declare import handler

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step


class Args(BaseModel):
    width: int
    path: str = "x"


@dataclasses.dataclass
class Place:
    lat: float
    name: str = "here"


class Bag(TypedDict):
    size: int
    colour: NotRequired[str]


class Shop:
    built = 0

    def __init__(self):
        type(self).built += 1

    def sell(self, args: Args, step: Step) -> int:
        return args.width


class Needy:
    def __init__(self, url):
        self.url = url

    def work(self, args: dict) -> None: ...


@pytest.fixture
def signature(registry):
    """Return a function that declares a handler and returns its signature."""

    def read(function):
        handler("a.b.v1")(function)
        return registry.get("a.b.v1").signature

    return read


def test_a_model_takes_the_whole_payload(signature):
    def work(args: Args) -> None: ...

    found = signature(work)
    assert found.whole is Args
    assert found.validate('{"width": 3}') == {"args": Args(width=3)}


def test_so_do_dataclass_typeddict_and_dict(signature, registry):
    def a(place: Place) -> None: ...
    def b(bag: Bag) -> None: ...
    def c(anything: dict[str, Any]) -> None: ...
    def d(anything: dict) -> None: ...
    def e(args: Annotated[Args, Field(description="…")]) -> None: ...

    for name, function in (("a", a), ("b", b), ("c", c), ("d", d), ("e", e)):
        handler(f"x.{name}.v1")(function)
    read = {name: registry.get(f"x.{name}.v1").signature for name in "abcde"}
    assert read["a"].validate('{"lat": 1}') == {"place": Place(1.0)}
    assert read["b"].validate('{"size": 1}') == {"bag": {"size": 1}}
    assert read["b"].validate('{"size": 1, "colour": "red"}') == {"bag": {"size": 1, "colour": "red"}}
    assert read["c"].validate('{"x": [1]}') == {"anything": {"x": [1]}}
    assert read["d"].validate("{}") == {"anything": {}}
    assert read["e"].validate('{"width": 1}') == {"args": Args(width=1)}
    with pytest.raises(InvalidInput, match=r"payload\.size"):
        read["b"].validate('{"colour": "red"}')


def test_other_parameters_bind_by_name(signature):
    def work(email: str, json: int = 3, _private: list[int] | None = None, *, copy: bool = False) -> None: ...

    found = signature(work)
    assert found.whole is None
    assert found.validate('{"email": "a@b", "copy": true}') == {
        "email": "a@b",
        "json": 3,
        "_private": None,
        "copy": True,
    }
    assert found.validate('{"email": "a@b", "_private": [1]}')["_private"] == [1]
    with pytest.raises(InvalidInput) as caught:
        found.validate('{"json": "many", "speed": 1}')
    assert caught.value.message.split("; ") == [
        "payload.email: Field required",
        "payload.json: Input should be a valid integer, unable to parse string as an integer (got 'many')",
        "payload.speed: Extra inputs are not permitted (got 1)",
    ]
    schema = found.input_schema()
    assert schema["required"] == ["email"]
    assert schema["properties"]["json"]["default"] == 3


def test_one_plain_parameter_binds_by_name_too(signature):
    def work(width: int) -> None: ...

    assert signature(work).validate('{"width": 2}') == {"width": 2}


def test_no_parameters_take_an_empty_object(signature):
    def work() -> None: ...

    assert signature(work).validate("{}") == {}
    with pytest.raises(InvalidInput, match=r"payload\.x"):
        signature(work).validate('{"x": 1}')


def test_the_step_is_known_by_its_annotation(signature):
    def work(s: Step, args: Args) -> None: ...

    found = signature(work)
    assert (found.step_name, found.names) == ("s", ("args",))


def test_the_step_twice_is_refused(signature):
    def work(a: Step, b: Step) -> None: ...

    with pytest.raises(HandlerError, match="takes the step twice: a, b"):
        signature(work)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(args): ...", "parameter 'args' in .* has no type annotation"),
        ("def f(*args: int): ...", r"\*args in .* cannot be bound"),
        ("def f(**rest: int): ...", r"\*\*rest in .* cannot be bound"),
        ("def f(a: int, /): ...", "'a' in .* is positional-only"),
        ("def f(a: object()): ...", "cannot be read from JSON|are not types"),
        ("def f(a: Opaque): ...", "cannot be read from JSON"),
        ("def f(a: int) -> Opaque: ...", "return type of .* cannot be written as JSON"),
        ("def f(a: 'int +'): ...", "are not types"),
    ],
)
def test_unusable_signatures_are_told_with_their_place(source, message, signature):
    names: dict[str, Any] = {"Opaque": type("Opaque", (), {}), "__name__": __name__}
    exec(source, names)
    with pytest.raises(HandlerError, match=message) as caught:
        signature(names["f"])
    assert "a.b.v1" in str(caught.value)


def test_types_defined_below_their_handler_are_found_later(registry):
    names: dict[str, Any] = {"handler": handler, "BaseModel": BaseModel, "__name__": "later"}
    source = (
        "from __future__ import annotations\n@handler('a.b.v1')\ndef f(args: Later) -> Later: return args\n"
    )
    exec(source, names)
    with pytest.raises(HandlerError, match=r"'Later' in the signature of .* is not defined"):
        _ = registry.get("a.b.v1").signature
    names["Later"] = Args
    assert registry.get("a.b.v1").signature.whole is Args


def test_local_types_are_in_sight(registry):
    class Local(BaseModel):
        n: int

    @handler("a.b.v1")
    def work(args: Local) -> Local:
        return args

    assert registry.get("a.b.v1").signature.whole is Local


def test_step_may_be_imported_for_the_type_checker_only(registry):
    names: dict[str, Any] = {"handler": handler, "__name__": "checked"}
    source = "@handler('a.b.v1')\ndef f(args: dict, step: Step) -> None: ...\n"
    exec("from __future__ import annotations\n" + source, names)
    assert registry.get("a.b.v1").signature.step_name == "step"


def test_methods_share_one_instance_of_their_class(registry):
    handler("shop.sell.v1")(Shop.sell)
    before = Shop.built
    found = registry.get("shop.sell.v1")
    assert found.signature.names == ("args",)
    assert found.function(args=Args(width=4), step=None) == 4
    assert found.function(args=Args(width=5), step=None) == 5
    assert Shop.built == before + 1


def test_a_class_that_wants_arguments_is_refused_when_called(registry):
    handler("needy.work.v1")(Needy.work)
    with pytest.raises(HandlerError, match="Needy cannot be built without arguments"):
        _ = registry.get("needy.work.v1").function


def test_results_are_what_the_annotation_promises(signature):
    def work(args: dict) -> Args: ...

    found = signature(work)
    assert found.dump(Args(width=1)) == '{"width":1,"path":"x"}'
    for wrong in (None, {"width": "wide"}, "text", 5):
        with pytest.raises(InvalidInput, match="result") as caught:
            found.dump(wrong)
        assert not isinstance(caught.value, CodecError)


def test_results_are_not_bent_into_shape(signature):
    def work(args: dict) -> int: ...

    with pytest.raises(InvalidInput, match="valid integer"):
        signature(work).dump("5")


def test_no_result_and_any_result(signature, registry):
    def nothing(args: dict) -> None: ...

    def anything(args: dict): ...

    assert signature(nothing).dump(None) == "null"
    with pytest.raises(InvalidInput):
        signature(nothing).dump(1)
    handler("x.any.v1")(anything)
    found = registry.get("x.any.v1").signature
    assert found.dump({"a": [1]}) == '{"a":[1]}'
    assert found.output_schema() == {}


def test_results_that_cannot_be_stored_name_the_path(signature, registry):
    def work(args: dict) -> Place: ...

    found = signature(work)
    with pytest.raises(CodecError, match=r"result\.lat is nan"):
        found.dump(Place(math.nan))
    with pytest.raises(CodecError, match=r"result\.name contains a NUL"):
        found.dump(Place(1.0, "\x00"))
    with pytest.raises(CodecError, match=r"result\.name contains a lone surrogate"):
        found.dump(Place(1.0, "\udc80"))


def test_a_model_changed_into_something_else_is_refused(signature):
    def work(args: dict) -> Args: ...

    broken = Args(width=1)
    broken.width = "wide"
    with pytest.raises(InvalidInput, match="its own type does not allow"):
        signature(work).dump(broken)


def test_schemas(signature):
    def work(args: Args) -> Place: ...

    found = signature(work)
    assert found.input_schema()["required"] == ["width"]
    assert set(found.output_schema()["properties"]) == {"lat", "name"}
