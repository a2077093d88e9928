"""Searches the model in wider bounds: `make model`, `python -m tests.model_check --faults 1 --processes 3`.

With --mutant the shortest history in which that mistake breaks a promise is told move by move.
"""

from __future__ import annotations

import argparse
import resource
import sys

from tests.model_check.explorer import Found, search
from tests.model_check.fleet import Fleet
from tests.model_check.leaders import Leaders
from tests.model_check.mutants import MUTANTS
from tests.model_check.scenes import CRON_SCENES, SCENES, longer, wider
from tests.model_check.slot_mutants import CRON_MUTANTS


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.model_check", description=__doc__)
    parser.add_argument(
        "--faults", type=int, default=1, help="so many more faults of each kind of a scene (default 1)"
    )
    parser.add_argument("--processes", type=int, help="at least so many processes or leaders (default 2)")
    parser.add_argument("--states", type=int, help="stop a search after so many states, and say so")
    parser.add_argument(
        "--scene", action="append", choices=[*SCENES, *CRON_SCENES], help="only these (repeatable)"
    )
    parser.add_argument("--mutant", choices=[*MUTANTS, *CRON_MUTANTS], help="tell how this mistake is found")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Search; return 1 where a promise is broken."""
    asked = _arguments(given)
    if asked.mutant:
        print(search({**MUTANTS, **CRON_MUTANTS}[asked.mutant].model()).story())
        return 0
    print(f"{'scene':<33}{'states':>10}{'moves':>11}{'depth':>7}{'ends':>8}{'seconds':>9}", flush=True)
    broken, all_found = False, []
    for name in asked.scene or [*SCENES, *CRON_SCENES]:
        if name in SCENES:
            found = search(Fleet(wider(SCENES[name], asked.faults, asked.processes)), asked.states)
        else:
            found = search(Leaders(longer(CRON_SCENES[name], asked.faults, asked.processes)), asked.states)
        print(_row(name, found) + ("" if found.whole or found.broken else "  cut off"), flush=True)
        if found.broken:
            broken = True
            print(found.story(), flush=True)
        all_found.append(found)
    total = Found(
        *(sum(found[field] for found in all_found) for field in (0, 1)),
        0,
        0,
        sum(f.seconds for f in all_found),
    )
    print(_row("all", total))
    # kilobytes, where it is Linux
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    return int(broken)


def _row(name: str, found: Found) -> str:
    counts = f"{found.states:>10,}{found.moves:>11,}{found.depth or '':>7}{found.ended or '':>8}"
    return f"{name:<33}{counts}{found.seconds:>9.1f}"


if __name__ == "__main__":
    sys.exit(main())
