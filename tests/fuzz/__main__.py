"""Throws random inputs at everything that reads text: `make fuzz`, ARGS='--inputs 1000000 --only cron'.

Only the refusals that are meant may leave a parser, and nothing may take longer than a second of this
process. What fails is kept in out/fuzz too; a seed repeats a run.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.fuzz import command_lines, language, running, values

KINDS = (*language.KINDS, *values.KINDS)


def main() -> int:
    """Run the inputs and print figures; return 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=200_000, help="how many, of all kinds in turn")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run")
    parser.add_argument("--only", action="append", help="a kind; may be repeated")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    kinds = tuple(kind for kind in KINDS if not options.only or kind[0] in options.only)
    failures = 0
    if kinds:
        print(f"seed {seed}: {options.inputs:,} inputs")
        found = running.run(kinds, options.inputs, seed, folder=running.KEPT)
        failures += len(found.failures)
        running.report(found)
    if not options.only or command_lines.KIND[0] in options.only:
        # each is a thousand times as much work
        count = max(100, options.inputs // 100)
        print(f"seed {seed}: {count:,} command lines")
        with command_lines.surroundings():
            found = running.run((command_lines.KIND,), count, seed, seconds=10, folder=running.KEPT)
        failures += len(found.failures)
        running.report(found)
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
