"""The shapes of runs that are measured: per step the positions of the steps it needs."""

from __future__ import annotations

from tributary_daemon import Workflow

Shape = list[list[int]]


def chain(steps: int) -> Shape:
    """Return ``steps`` steps, each of which needs the one before."""
    return [[k - 1] if k else [] for k in range(steps)]


def fan(steps: int) -> Shape:
    """Return one source, ``steps`` - 2 steps that need it, and a sink that needs all of those."""
    wide = range(1, steps - 1)
    return [[], *([0] for _ in wide), list(wide)]


def workflow(name: str, shape: Shape) -> Workflow:
    """Return a shape as a workflow of no-op steps."""
    made = Workflow(name)
    for k, needs in enumerate(shape):
        made.add(f"s{k}", "bench.noop.v1", {"i": k}, needs=[f"s{need}" for need in needs])
    return made
