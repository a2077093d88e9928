"""Handlers of a batch: one is called per movie, one once for all of them, one per movie with that in hand."""

from __future__ import annotations

import statistics

from pydantic import BaseModel

from tributary_daemon import handler


class MovieID(BaseModel):
    """Number of a movie in the catalogue."""

    number: int


class Movie(BaseModel):
    """What the catalogue says."""

    number: int
    minutes: int


class BatchStats(BaseModel):
    """Of all movies together."""

    movies: int
    mean_minutes: float


class RatedMovie(BaseModel):
    """A movie beside the others."""

    number: int
    longer_than_most: bool


class Report(BaseModel):
    """The end of it."""

    stats: BatchStats
    long_ones: list[int]


@handler("movies.look_up.v1")
def look_up(movie: MovieID) -> Movie:
    """Look one movie up."""
    return Movie(number=movie.number, minutes=80 + movie.number * 37 % 90)


@handler("movies.stats.v1")
def stats(movies: list[Movie]) -> BatchStats:
    """Aggregate a whole batch: called once, with the list of what was looked up."""
    return BatchStats(movies=len(movies), mean_minutes=statistics.fmean(movie.minutes for movie in movies))


@handler("movies.rate.v1")
def rate(movie: Movie, stats: BatchStats) -> RatedMovie:
    """Rate one movie; all get the same statistics."""
    return RatedMovie(number=movie.number, longer_than_most=movie.minutes > stats.mean_minutes)


@handler("movies.report.v1")
def report(stats: BatchStats, rated: list[RatedMovie]) -> Report:
    """Sum up."""
    return Report(stats=stats, long_ones=[movie.number for movie in rated if movie.longer_than_most])
