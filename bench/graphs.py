"""Graphs of real workflows, and a large one, as no-ops: `python -m bench.graphs FOLDER`.

The files are those of WfInstances, reduced to `{name, tasks: [{id, parents: [id]}]}`. `trib worker` runs them
with two processes, and once more with one of them killed while it holds steps. Recorded times must show that
no step began before its parents ended.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.product import database, wait, worker
from bench.server import server
from tributary_daemon import Client

PATIENCE = 300.0  # seconds
TIMES = """
    select step_id, state::text, attempt, crashes, coalesce(started_at, claimed_at), finished_at
    from tributary.steps where run_id = %s and kind = 'step'
"""
HOLDERS = """
    select p.pid, count(*) from tributary.processes p join tributary.steps s using (process_id)
    where s.state = 'running' and p.pid is not null group by p.pid order by 2 desc limit 1
"""


@dataclass
class Graph:
    """A workflow's name, and step id -> ids of its parents."""

    name: str
    parents: dict[str, list[str]]

    def document(self) -> dict[str, Any]:
        """Return the workflow: every step a no-op."""
        steps = {
            step: {"task": "trib.noop.v1", **({"needs": parents} if parents else {})}
            for step, parents in self.parents.items()
        }
        return {"name": self.name, "steps": steps}


def read(path: Path) -> Graph:
    """Read a graph; ids become those that a workflow may have, with a number where two become the same."""
    content = json.loads(path.read_text(encoding="utf-8"))
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for task in content["tasks"]:
        wanted = re.sub(r"[^A-Za-z0-9_-]", "_", task["id"])[-90:]
        wanted = wanted if re.match(r"[A-Za-z_]", wanted) else f"t{wanted}"
        unique, number = wanted, 1
        while unique in taken:
            number += 1
            unique = f"{wanted}_{number}"
        taken.add(unique)
        ids[task["id"]] = unique
    if len(ids) != len(content["tasks"]):
        raise ValueError(f"{path.name} has two tasks of one id")
    parents = {ids[task["id"]]: sorted({ids[each] for each in task["parents"]}) for task in content["tasks"]}
    return Graph(f"graphs.{re.sub(r'[^a-z0-9_]', '_', path.stem.split('.')[0].lower())}.v1", parents)


def layered(layers: int, width: int) -> Graph:
    """Return a generated graph: each step needs two of the layer above."""
    chance = random.Random(5)  # the same graph each time
    parents = {}
    for layer in range(layers):
        above = [f"s{layer - 1}_{place}" for place in range(width)] if layer else []
        for place in range(width):
            parents[f"s{layer}_{place}"] = chance.sample(above, 2) if above else []
    return Graph("graphs.layered.v1", parents)


def check(connection: psycopg.Connection[Any], graph: Graph, run: str) -> tuple[list[str], int]:
    """Compare a run with its graph; return what is wrong, and how many steps were rescued."""
    rows = {row[0]: row[1:] for row in connection.execute(TIMES, (run,)).fetchall()}
    if rows.keys() != graph.parents.keys():
        return [f"{graph.name}: other steps than the graph's"], 0
    wrong: list[str] = []
    rescued = 0
    for step, (state, attempt, crashes, began, ended) in rows.items():
        rescued += attempt > 1
        # one that was lost with its process is executed again; the caller knows how many may be
        if state != "completed" or attempt not in (1, 2):
            wrong.append(f"{graph.name}: {step} is {state} after {attempt} attempts, {crashes} crashes")
        wrong += [
            f"{graph.name}: {step} began {began}, {parent} ended {rows[parent][4]}"
            for parent in graph.parents[step]
            if began is None or rows[parent][4] is None or began < rows[parent][4]
        ]
        if ended is None or (began is not None and ended < began):
            wrong.append(f"{graph.name}: {step} ended {ended}, began {began}")
    return wrong, rescued


def kill_a_holder(connection: psycopg.Connection[Any]) -> int:
    """Kill a process of the worker while it holds steps; return how many it held.

    It is stopped first and looked at again, so that what it holds stays held.
    """
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = connection.execute(HOLDERS).fetchone()
        if found is None:
            continue
        pid = found[0]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.05)  # what it had sent is committed by then
        held = connection.execute(
            "select count(*) from tributary.steps s join tributary.processes p using (process_id)"
            " where s.state = 'running' and p.pid = %s", (pid,),
        ).fetchone()  # fmt: skip
        if held and held[0]:
            os.kill(pid, signal.SIGKILL)
            return int(held[0])
        os.kill(pid, signal.SIGCONT)
    raise RuntimeError("no process of the worker ever held a step")


def sitting(at: str, graphs: list[Graph], folder: Path, *, kill: bool) -> list[str]:
    """Run all graphs once; print figures, return what is wrong."""
    url = database(at)
    with worker(url, 2), Client(url) as client, psycopg.connect(url, autocommit=True) as connection:
        began = time.monotonic()
        runs = []
        held = 0
        for number, graph in enumerate(graphs):
            path = folder / f"{number}.yaml"
            path.write_text(json.dumps(graph.document()), encoding="utf-8")
            runs.append(str(client.submit(path).id))
            if kill and number == len(graphs) // 2:
                held = kill_a_holder(connection)
        unfinished = "select exists (select from tributary.runs where state = 'running')"
        wait(lambda: not (connection.execute(unfinished).fetchone() or (True,))[0], PATIENCE, "all runs")
        seconds = time.monotonic() - began
        wrong: list[str] = []
        rescued = 0
        for graph, run in zip(graphs, runs, strict=True):
            state = client.get(run).state
            if state != "completed":
                wrong.append(f"{graph.name}: the run is {state}")
            faults, again = check(connection, graph, run)
            wrong += faults
            rescued += again
        if not kill and rescued:
            wrong.append(f"{rescued} steps ran twice although nothing was killed")
        if rescued > held:
            wrong.append(f"{rescued} steps ran twice, but the killed process held {held}")
    steps, edges = (
        sum(len(g.parents) for g in graphs),
        sum(len(p) for g in graphs for p in g.parents.values()),
    )
    killed = f", one process killed with {held} steps in its hands, {rescued} executed again" if kill else ""
    print(f"{len(graphs)} graphs, {steps} steps, {edges} edges: {seconds:.1f} s, {len(wrong)} faults{killed}")
    return wrong


def large(at: str, folder: Path) -> list[str]:
    """Submit, run and show one graph of 20,000 steps; print seconds of each, return what is wrong."""
    graph = layered(100, 200)
    path = folder / "layered.yaml"
    path.write_text(json.dumps(graph.document()), encoding="utf-8")
    url = database(at)
    told: dict[str, float] = {}

    def trib(*words: str) -> str:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tributary_daemon", *words],
            env={**os.environ, "TRIB_DATABASE_URL": url}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        told[words[0]] = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"trib {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    with psycopg.connect(url, autocommit=True) as connection:
        trib("submit", str(path), "-o", "json")
        row = connection.execute("select run_id::text from tributary.runs").fetchone()
        assert row is not None
        run = row[0]
        with worker(url, 2):
            wait(
                lambda: connection.execute("select state from tributary.runs").fetchone() == ("completed",),
                PATIENCE, "the large run",
            )  # fmt: skip
        ran = connection.execute(
            "select extract(epoch from max(finished_at) - min(claimed_at)) from tributary.steps"
        )
        told["run"] = float((ran.fetchone() or (0,))[0])
        trib("status", run)
        trib("graph", run)
        wrong, _ = check(connection, graph, run)
    print(
        f"{len(graph.parents)} steps: "
        + ", ".join(f"{word} {seconds:.1f} s" for word, seconds in told.items())
    )
    return wrong


def main() -> int:
    """Run everything; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.graphs", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where the graphs are (*.topology.json)")
    parser.add_argument("--no-large", action="store_true", help="leave the graph of 20,000 steps out")
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.topology.json")) if options.folder else []
    graphs = [read(path) for path in files]
    with server() as at, tempfile.TemporaryDirectory() as folder:
        wrong = []
        if graphs:
            wrong += sitting(at, graphs, Path(folder), kill=False)
            wrong += sitting(at, graphs, Path(folder), kill=True)
        else:
            print("no graphs there (make graphs GRAPHS=FOLDER names them): only the generated one is run")
        if not options.no_large:
            wrong += large(at, Path(folder))
    for each in wrong[:50]:
        print(each, file=sys.stderr)
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
