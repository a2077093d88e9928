"""Signatures of the protocol never change: a new one is a new function, the old one stays for a release.

A function that is added gets its line in protocol_signatures.txt; the failing test prints it.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FROZEN = Path(__file__).with_name("protocol_signatures.txt")
WORKERS = Path(__file__).with_name("worker_signatures.txt")
CALLED = re.compile(r"tributary\.(\w+)\s*\(")
SIGNATURES = """
    select p.proname || '(' || pg_get_function_arguments(p.oid) || ') -> '
           || coalesce(pg_get_function_result(p.oid), 'procedure')
    from pg_proc p where p.pronamespace = 'tributary'::regnamespace and p.proname = any (%s)
    order by 1
"""


def public_functions():
    return [
        path.stem
        for path in (ROOT / "sql" / "functions").glob("*.sql")
        if path.read_text(encoding="utf-8").startswith("-- Public.") and not path.stem.startswith("view_")
    ]


def test_public_signatures_are_the_frozen_ones(connection):
    present = [row[0] for row in connection.execute(SIGNATURES, (public_functions(),))]
    frozen = FROZEN.read_text(encoding="utf-8").splitlines()
    assert [line for line in frozen if line not in present] == [], "frozen signatures are gone"
    assert [line for line in present if line not in frozen] == [], "add these lines to the file"


def names_of(path):
    return {line.partition("(")[0] for line in path.read_text(encoding="utf-8").splitlines()}


def test_whatever_workers_and_clients_call_is_frozen():
    """So that those of this release can meet the functions of the next."""
    files = {path.stem for path in (ROOT / "sql" / "functions").glob("*.sql")}
    texts = [*(ROOT / "sql" / "queries").glob("*.sql"), *(ROOT / "tributary_daemon").rglob("*.py")]
    called = {name for path in texts for name in CALLED.findall(path.read_text(encoding="utf-8"))}
    loose = (called & files) - names_of(FROZEN) - names_of(WORKERS)
    assert sorted(loose) == [], "add their signatures to worker_signatures.txt"


def test_what_workers_of_the_last_release_call_is_still_there(connection):
    """They go on while `migrate up` runs; a function that has learnt something gets another name.

    A line leaves worker_signatures.txt one release after its function was replaced.
    """
    frozen = WORKERS.read_text(encoding="utf-8").splitlines()
    names = [line.partition("(")[0] for line in frozen]
    present = [row[0] for row in connection.execute(SIGNATURES, (names,))]
    assert [line for line in frozen if line not in present] == []
