"""A batch: a handler for one item, one for all of them together, and a policy for items that fail.

    python workflows/recipes/batch.py

Items run at most three at once, and their results stand in the order of what was given. What is equal is
looked up once (`cache`). One film cannot be found; two of seven may fail, so the batch goes on without it.
"""

from __future__ import annotations

from pydantic import BaseModel

from tributary_daemon import Abort, Client, Worker, Workflow, handler

looked_up: list[str] = []
MINUTES = {"metropolis": 153, "nosferatu": 94, "sunrise": 94, "faust": 106}


class Title(BaseModel):
    """What a film is called."""

    title: str


class Film(BaseModel):
    """What the archive says of it."""

    title: str
    minutes: int


class Evening(BaseModel):
    """All films of a batch together."""

    films: int
    hours: float


@handler("films.look_up.v1")
def look_up(title: Title) -> Film:
    """Look one film up."""
    looked_up.append(title.title)
    if title.title not in MINUTES:
        raise Abort(f"no archive has {title.title}")
    return Film(title=title.title, minutes=MINUTES[title.title])


@handler("films.plan.v1")
def plan(films: list[Film | None]) -> Evening:
    """Plan with what was found: an item that failed has no result."""
    found = [film for film in films if film is not None]
    return Evening(films=len(found), hours=round(sum(film.minutes for film in found) / 60, 2))


def main() -> None:
    """Look seven titles up, of which two stand there twice, and plan an evening with what is there."""
    titles = ["sunrise", "metropolis", "lost", "faust", "sunrise", "nosferatu", "faust"]
    batch = Workflow("films.batch.v1", result="${{ steps.look_up.result }}").add(
        "look_up",
        look_up,
        {"title": "${{ item }}"},
        for_each=titles,
        cache={"scope": "run"},
        max_parallel=3,
        tolerate=2,
        aggregate={"task": "films.plan.v1", "with": {"films": "${{ steps.look_up.items.*.result }}"}},
    )
    with Client() as client, Worker(client):
        document = client.submit(batch).wait(timeout="30s")
        print(document.state, document.result)
        print(len(titles), "titles,", len(looked_up), "looked up")
        for item in client.items(document.id, "look_up"):
            print(item.key, item.state, item.result and item.result["minutes"])


if __name__ == "__main__":
    main()
