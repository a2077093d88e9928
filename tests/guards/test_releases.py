"""What a release owes to the one before it, whose state tests/upgrade/previous.toml records."""

from __future__ import annotations

import re

import pytest

from tests.upgrade import previous

BIG = (
    "steps",
    "payloads",
    "runs",
    "edges",
    "keys",
    "attempts",
    "event_log",
    "dead_letters",
    "progress",
    "log_chunks",
)
OURS = previous.ROOT / "sql" / "migrations"
INDEX = re.compile(
    r"create\s+(?:unique\s+)?index\s+(concurrently\s+)?(?:if\s+not\s+exists\s+)?\w+\s+on\s+(?:only\s+)?(?:tributary\.)?(\w+)",
    re.IGNORECASE,
)
TABLE = re.compile(r"create\s+table\s+(?:if\s+not\s+exists\s+)?(?:tributary\.)?(\w+)", re.IGNORECASE)
ALTER = re.compile(r"alter\s+table\s+(?:only\s+)?(?:tributary\.)?(\w+)\s+([^;]*)", re.IGNORECASE)
REWRITES = re.compile(
    r"\btype\s+\w|set\s+not\s+null|add\s+(?:constraint\s+\w+\s+)?(?:check|foreign|unique|primary|exclude)(?![^,]*not\s+valid)"
    r"|default\s+(?:clock_timestamp|random|gen_random_uuid|tributary\.)",
    re.IGNORECASE,
)
LOOSE = "-- trib:no-transaction"


def bare(text):
    return re.sub(r"--.*", "", text)


def flat(change):
    """Leave out what stands in parentheses: commas there separate nothing."""
    while (shorter := re.sub(r"\([^()]*\)", "", change)) != change:
        change = shorter
    return change


def holds_up(text):
    """Return what a migration does to big tables that would keep workers from them while it lasts."""
    whole = bare(text)
    new = set(TABLE.findall(whole))
    found = [
        f"index on {table}"
        for quick, table in INDEX.findall(whole)
        if table in BIG and table not in new and not quick
    ]
    found += [
        f"alter table {table} {change.strip()}"
        for table, change in ALTER.findall(whole)
        if table in BIG and table not in new and REWRITES.search(flat(change))
    ]
    return found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("create index runs_x on runs (a)", ["index on runs"]),
        ("create unique index if not exists x on tributary.steps (a)", ["index on steps"]),
        ("create index concurrently x on steps (a)", []),
        ("create table log_chunks (a int); create index x on log_chunks (a)", []),
        ("create index x on schedules (a)", []),
        ("-- create index x on runs (a)\nselect 1", []),
        ("alter table runs add column a int not null default 0", []),
        ("alter table runs alter column a type bigint", ["alter table runs alter column a type bigint"]),
        ("alter table steps add check (a > 0)", ["alter table steps add check (a > 0)"]),
        ("alter table steps add constraint c check (a > 0) not valid", []),
        ("alter table steps add constraint c check (a in (1, 2)) not valid, add b int", []),
        (
            "alter table steps add check (a in (1, 2)), add check (b > 0) not valid",
            ["alter table steps add check (a in (1, 2)), add check (b > 0) not valid"],
        ),
        ("alter table keys alter a set not null", ["alter table keys alter a set not null"]),
    ],
)
def test_the_search_knows_what_holds_workers_up(text, found):
    assert holds_up(text) == found


def test_migrations_of_the_release_before_are_as_they_were():
    _, hashes = previous.measure(previous.ROOT)
    recorded = previous.read().migrations
    assert {name for name, was in recorded.items() if hashes.get(name) != was} == set(), (
        "write a new migration"
    )


def test_functions_that_changed_come_with_a_migration():
    """Otherwise the schema of the release before passes for this one's, and nobody is told to upgrade it."""
    before = previous.read()
    functions, hashes = previous.measure(previous.ROOT)
    if functions != before.functions:
        assert max(hashes).partition(".")[0] > before.version, "add a migration; an empty one will do"


def test_new_migrations_come_after_those_of_the_release_before():
    before = previous.read()
    _, hashes = previous.measure(previous.ROOT)
    fresh = {name.partition(".")[0] for name in hashes if name not in before.migrations}
    assert sorted(name for name in fresh if name < before.version) == []


def test_new_migrations_keep_no_worker_from_big_tables():
    recorded = previous.read().migrations
    fresh = [path for path in sorted(OURS.glob("*.sql")) if path.name not in recorded]
    told = {path.name: holds_up(path.read_text(encoding="utf-8")) for path in fresh}
    assert {name: found for name, found in told.items() if found} == {}, (
        "docs/migrations.md, Rules of migrations"
    )


def test_concurrent_builds_can_be_begun_again():
    for path in sorted(OURS.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        for index in re.findall(
            r"create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(\w+)",
            bare(text),
            re.IGNORECASE,
        ):
            assert text.startswith(LOOSE), f"{path.name}: a concurrent build needs {LOOSE}"
            first = re.search(
                rf"drop\s+index\s+(?:concurrently\s+)?if\s+exists\s+(?:tributary\.)?{index}\b",
                text,
                re.IGNORECASE,
            )
            assert first, f"{path.name}: what a build that broke off left of {index} is dropped first"
