"""The peers: how each is run at its fastest, and how fast it drains what was loaded."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from psycopg import conninfo

from bench import environments
from bench.environments import UnavailableError
from bench.server import fresh_database, settle

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent
PROCESSES = 2
_PATIENCE = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Peer:
    """A rival.

    Attributes:
        name: as the report shows it.
        environment: of that name in bench/environments.py.
        driver: a module of bench/peers, or "node" for graphile-worker.
        variants: settings worth trying, as its documentation suggests; the first was the fastest so far.
        pace: jobs or steps a second on two cores, roughly: how much it is given to be busy for some
            seconds; None: as much as Tributary.
    """

    name: str
    environment: str
    driver: str
    variants: tuple[Mapping[str, Any], ...]
    pace: int | None = None


QUEUES = (
    Peer(
        "PgQueuer",
        "pgqueuer",
        "pgqueuer_drain",
        (
            {"driver": "connection", "batch": 1000},
            {"driver": "connection", "batch": 2000},
            {"driver": "connection", "batch": 500},
            {"driver": "connection", "batch": 100},
            {"driver": "pool", "batch": 1000},
        ),
    ),
    Peer(
        "graphile-worker",
        "graphile",
        "node",
        (
            {"localQueue": 500, "concurrency": 24},
            {"localQueue": 1000, "concurrency": 24},
            {"localQueue": 500, "concurrency": 48},
        ),
    ),
    Peer(
        "awa",
        "awa",
        "awa_drain",
        (
            {"engine": "canonical", "concurrency": 256},
            {"engine": "queue_storage", "concurrency": 256},
            {"engine": "canonical", "concurrency": 128},
        ),
        pace=10_000,
    ),
    Peer(
        "procrastinate",
        "procrastinate",
        "procrastinate_drain",
        ({"concurrency": 50}, {"concurrency": 20}),
        pace=800,
    ),
)
WORKFLOWS = (
    Peer(
        "DBOS",
        "dbos",
        "dbos_steps",
        (
            {"mode": "start_workflow", "threads": 8, "connections": 20},
            {"mode": "threads", "threads": 8, "connections": 20},
            {"mode": "async", "threads": 8, "connections": 20},
        ),
        pace=420,
    ),
    Peer(
        "Absurd",
        "absurd",
        "absurd_steps",
        ({"workers": 4, "concurrency": 1}, {"workers": 1, "concurrency": 20}),
        pace=1_600,
    ),
)


def amount(peer: Peer, most: int, seconds: float) -> int:
    """Return how many jobs or steps keep a peer busy for about ``seconds``, at most ``most``."""
    return most if peer.pace is None else min(most, int(peer.pace * seconds))


def drain(at: str, peer: Peer, settings: Mapping[str, Any], work: Mapping[str, int]) -> float:
    """Load a peer's database anew and drain it with two processes.

    Args:
        at: the server.
        peer: who.
        settings: one of its variants.
        work: how much: ``jobs``, or ``runs`` of ``steps``.

    Returns:
        finishes per second, from the first to the last of all processes.

    Raises:
        UnavailableError: it cannot be installed, or did not do what it was asked for.
    """
    command = _command(peer)
    url = fresh_database(at, f"bench_{peer.environment}")
    asked = {"url": address(url), "processes": PROCESSES, **settings, **work}
    _call(command, {**asked, "phase": "load"})
    settle(url, analyze=True)
    noted = json.loads(_call(command, {**asked, "phase": "drain"}).splitlines()[-1])
    count = sum(process["count"] for process in noted)
    expected = work["jobs"] if "jobs" in work else work["runs"] * work["steps"]
    if count != expected:
        raise UnavailableError(f"it finished {count:,} of {expected:,}")
    busy = [process for process in noted if process["count"]]
    span = max(process["last"] for process in busy) - min(process["first"] for process in busy)
    return float((count - 1) / max(span, 1e-6))


def address(url: str) -> str:
    """Return a connection string as a URL that every driver understands, sockets included."""
    parts = conninfo.conninfo_to_dict(url)
    name = parts.pop("dbname")
    return f"postgresql:///{name}?{urlencode(parts, safe='/')}"


def _command(peer: Peer) -> list[str]:
    if peer.driver == "node":
        program, folder = environments.node()
        return [str(program), str(folder / "drain.mjs")]
    return [str(environments.interpreter(peer.environment)), "-m", f"bench.peers.{peer.driver}"]


def _call(command: list[str], asked: Mapping[str, Any]) -> str:
    try:
        done = subprocess.run(
            [*command, json.dumps(asked)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"it did not end within {_PATIENCE:g} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no output"]
        raise UnavailableError(f"its {asked['phase']} failed: {said[-1]}")
    return done.stdout
