"""Handlers of a small shop, as checks know them."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, NewType

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tributary_daemon import Step  # noqa: TC001 - read by signature.read
from tributary_daemon.handlers import signature
from tributary_daemon.spec.signatures import Known, Listed

Region = NewType("Region", str)


class UserID(BaseModel):
    id: str


class Address(BaseModel):
    city: str
    zip: str | None = None


class Profile(BaseModel):
    name: str
    address: Address
    visits: int
    tags: list[str] = []
    extra: dict[str, Any] = {}


class Preferences(BaseModel):
    dark: bool


class EnrichedUser(BaseModel):
    profile: Profile
    preferences: Preferences


class Size(Enum):
    small = "s"
    large = "l"


class Box(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = Field(gt=0, le=100)
    label: str = Field(min_length=2, pattern=r"^[a-z]+$")
    size: Size = Size.small
    kind: Literal["gift", "plain"] = "plain"
    parts: list[Address] = []
    due: date | None = None
    words: list[str] = []

    @field_validator("words", mode="before")
    @classmethod
    def split(cls, value):
        return value.split(",") if isinstance(value, str) else value


class Tree(BaseModel):
    label: str
    children: list[Tree] = []


def fetch_profile(user: UserID) -> Profile: ...
def fetch_preferences(user: UserID) -> Preferences: ...
def enrich(profile: Profile, preferences: Preferences, step: Step) -> EnrichedUser: ...
def resize(width: int, height: int = 1, ratio: float = 1.0, exact: bool = False) -> int: ...
def pack(args: Box) -> Box: ...
def collect(profiles: list[Profile], region: Region) -> dict[str, int]: ...
def find(query: str) -> list[UserID]: ...
def anything(args: dict[str, Any]): ...
def grow(args: Tree) -> Tree: ...
def maybe(user: UserID) -> Annotated[Profile | None, "or nobody"]: ...
def either(value: int | UserID) -> int | str: ...


FUNCTIONS = (
    fetch_profile, fetch_preferences, enrich, resize, pack, collect, find, anything, grow, maybe, either
)  # fmt: skip


def known(function, *, exact, **local):
    """Return a handler; without ``exact`` as the registry of a database has it."""
    name = f"shop.{function.__name__}.v1"
    found = signature.read(function, name, local)
    return Known(name, found.input_schema(), found.output_schema(), found.faults if exact else None)


def shop(*without, exact=True, complete=False):
    """Return all handlers but some."""
    return Listed([known(each, exact=exact) for each in FUNCTIONS if each not in without], complete=complete)
