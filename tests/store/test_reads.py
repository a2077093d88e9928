"""Every query against a migrated database: it prepares, and look-ups by id go by their index."""

from __future__ import annotations

import re

import pytest
from psycopg.pq import ExecStatus

from tributary_daemon.store import db

NAMES = sorted(path.stem for path in (db.sql_dir() / "queries").glob("*.sql"))
PLACEHOLDER = re.compile(r"%\((\w+)\)s")


@pytest.mark.parametrize("name", NAMES)
def test_a_query_has_its_head(name):
    lines = db.query(name).splitlines()
    assert lines[0].startswith("-- ")
    assert [line.split(":")[0] for line in lines[1:4]] == ["-- Locks", "-- Index", "-- Caller"]
    assert ";" not in "".join(lines[4:]), "one statement"


@pytest.mark.parametrize("name", NAMES)
def test_a_query_prepares(unchanged, name):
    order = list(dict.fromkeys(PLACEHOLDER.findall(db.query(name))))
    text = PLACEHOLDER.sub(lambda match: f"${order.index(match[1]) + 1}", db.query(name)).replace("%%", "%")
    # not PREPARE, which knows no CALL
    answer = unchanged.pgconn.prepare(b"", text.encode())
    assert answer.status == ExecStatus.COMMAND_OK, answer.error_message.decode()


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("run", "runs_pkey"),
        ("run_steps", "steps_pkey"),
        ("intent", "steps_pkey"),
        ("work_state", "runs_pkey"),
        ("attempts", "attempts_pkey"),
        ("run_edges", "edges_pkey"),
        ("step_payloads", "payloads_pkey"),
        ("why", "steps_pkey"),
        ("dead_letter", "dead_letters_pkey"),
    ],
)
def test_a_look_up_by_id_goes_by_its_key(connection, name, index):
    values = {"id": "01234567-89ab-7def-8123-456789abcdef", "ordinal": 0, "step": None, "key": None}
    connection.execute("set enable_seqscan = off")
    rows = connection.execute(f"explain {db.query(name)}", values).fetchall()
    assert index in "\n".join(row[0] for row in rows)
