"""Finding handlers by name and by the type of their payload."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from tributary_daemon.errors import HandlerError, NotFound
from tributary_daemon.handlers.declare import handler


class One(BaseModel):
    n: int


class Two(BaseModel):
    n: int


@pytest.fixture
def some():
    @handler("shop.one.v1")
    def one(args: One) -> None: ...

    @handler("shop.two.v1")
    def two(args: Two) -> None: ...

    @handler("shop.two_again.v1")
    def two_again(args: Two) -> None: ...


def test_get_names_the_nearest(registry, some):
    assert registry.names() == ("shop.one.v1", "shop.two.v1", "shop.two_again.v1")
    with pytest.raises(NotFound) as caught:
        registry.get("shop.onne.v1")
    assert caught.value.hint == "did you mean 'shop.one.v1'?"
    with pytest.raises(NotFound) as caught:
        registry.get("zzz")
    assert "--import" in caught.value.hint


def test_find_for_model(registry, some):
    assert registry.find_for_model(One).name == "shop.one.v1"
    with pytest.raises(HandlerError, match=r"shop\.two\.v1 .* and shop\.two_again\.v1 "):
        registry.find_for_model(Two)
    with pytest.raises(NotFound, match="no handler takes int"):
        registry.find_for_model(int)


def test_a_copy_is_apart(registry, some):
    twin = registry.copy()
    twin.remove("shop.one.v1")
    assert "shop.one.v1" in registry
    assert "shop.one.v1" not in twin
    assert len(twin) == 2
