"""A dashboard of three sources that are asked at the same time, because nothing says that one needs another.

    python workflows/recipes/parallel.py

The graph follows from the types: ``Dashboard`` is wanted, ``UserID`` is given.
"""

from __future__ import annotations

import threading

from pydantic import BaseModel

from tributary_daemon import Client, Worker, Workflow, handler

ALL_THREE = threading.Barrier(3)
"""Opens when all three are here: if they were asked one after the other, none would ever answer."""


class UserID(BaseModel):
    """Whose dashboard it is."""

    id: str


class Profile(BaseModel):
    """Who that is."""

    name: str


class Activity(BaseModel):
    """What they did."""

    logins: int


class Friends(BaseModel):
    """Whom they know."""

    names: list[str]


class Dashboard(BaseModel):
    """All of it on one page."""

    title: str
    lines: list[str]


@handler("dashboard.profile.v1")
def fetch_profile(user: UserID) -> Profile:
    """Ask the directory."""
    ALL_THREE.wait(20)
    return Profile(name=user.id.title())


@handler("dashboard.activity.v1")
def fetch_activity(user: UserID) -> Activity:
    """Ask the log."""
    ALL_THREE.wait(20)
    return Activity(logins=len(user.id))


@handler("dashboard.friends.v1")
def fetch_friends(user: UserID) -> Friends:
    """Ask the network."""
    ALL_THREE.wait(20)
    return Friends(names=[f"{user.id}'s friend"])


@handler("dashboard.build.v1")
def build(profile: Profile, activity: Activity, friends: Friends) -> Dashboard:
    """Put together what the three have found."""
    return Dashboard(title=profile.name, lines=[f"{activity.logins} logins", *friends.names])


def main() -> None:
    """Submit the graph that leads to a dashboard, and print it."""
    with Client() as client, Worker(client):
        receipt = client.submit(Workflow.infer(Dashboard, given=[UserID(id="ada")]))
        document = receipt.wait(timeout="30s")
        print(", ".join(sorted(document.steps)))
        print(document.result["title"], document.result["lines"])


if __name__ == "__main__":
    main()
