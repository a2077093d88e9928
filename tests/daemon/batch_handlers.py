"""Handlers of batches, by the names of their types: one film, and what is said of all of them."""

from __future__ import annotations

from typing import NewType

from handlers_for_tests import note
from pydantic import BaseModel

from tributary_daemon import Abort, Step, handler

Acts = NewType("Acts", int)


class Title(BaseModel):
    title: int


class Film(BaseModel):
    title: int
    minutes: int


class Evening(BaseModel):
    films: int
    minutes: int


class Card(BaseModel):
    title: int
    of: int
    acts: int


@handler("b.film.v1")
def film(title: Title, step: Step) -> Film:
    note(step, "looked up", title=title.title)
    if title.title < 0:
        raise Abort(f"no archive has {title.title}")
    return Film(title=title.title, minutes=title.title + 60)


@handler("b.evening.v1")
def evening(films: list[Film | None]) -> Evening:
    there = [each.minutes for each in films if each is not None]
    return Evening(films=len(there), minutes=sum(there))


@handler("b.acts.v1")
def acts(title: Title) -> Acts:
    return Acts(0)


@handler("b.card.v1")
def card(film: Film, acts: Acts, evening: Evening, step: Step) -> Card:
    note(step, "carded", title=film.title)
    return Card(title=film.title, of=evening.films, acts=acts)
