"""The benchmark: `python -m bench [--full] [--only NAME ...] [--list]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from bench.report import Report
from bench.scenario import Outcome, Scenario, discover
from bench.server import drop_databases, server


def measure(scenario: Scenario, at: str, *, full: bool) -> tuple[Outcome | None, str]:
    """Run a scenario; return its outcome, or None and what went wrong."""
    parameters = scenario.full if full or scenario.short is None else scenario.short
    try:
        return scenario.function(at, **parameters), ""
    except Exception:  # noqa: BLE001 - one broken measurement costs its own rows only
        return None, traceback.format_exc()
    finally:
        drop_databases(at)


def main() -> int:
    """Run the scenarios that are asked for; return 1 if one of them broke."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="everything, at full size (an hour or more)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these scenarios")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    options = parser.parse_args()
    scenarios = discover()
    if options.list:
        for one in scenarios.values():
            print(f"{one.name:<16} {'full only' if one.short is None else 'short too':<10} {one.summary}")
        return 0
    unknown = set(options.only or ()) - scenarios.keys()
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; --list shows them")
    chosen = [
        one
        for one in scenarios.values()
        if (one.name in options.only if options.only else options.full or one.short is not None)
    ]
    report = Report(full=options.full)
    broken = 0
    with server() as at:
        for one in chosen:
            print(f"\n== {one.name}: {one.summary}", flush=True)
            began = time.monotonic()
            outcome, failure = measure(one, at, full=options.full)
            broken += outcome is None
            report.add(one, outcome, failure, time.monotonic() - began)
    print(f"\nkept in {report.folder}")
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main())
