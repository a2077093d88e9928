"""The tables in the terms of the model, and the comparison of both."""

from __future__ import annotations

from collections import Counter

BASE = "2100-01-01T00:00:00Z"
TABLES = (
    *("steps", "runs", "payloads", "edges", "keys", "attempts", "event_log", "dead_letters", "progress"),
    *("group_slots", "groups", "queue_slots"),
)
_AT = f"extract(epoch from {{}} - timestamptz '{BASE}')::float8"
_ROWS = f"""
    select run_id::text, ordinal, state::text, reason, attempt, attempt_base, crashes, lone_crashes, unmet,
           flags & 2 = 2, flags & 64 = 64, state = 'running' and started_at is not null,
           {_AT.format("run_at")}, {_AT.format("finished_at")}, process_id, seq
    from tributary.steps"""
_RUNS = f"""
    select run_id::text, state::text, phase, ending::text, remaining, failed, warnings, reason,
           {_AT.format("finished_at")}
    from tributary.runs"""
_LETTERS = (
    f"select run_id::text, ordinal, attempt, reason, {_AT.format('created_at')} from tributary.dead_letters"
)
_ATTEMPTS = (
    "select run_id::text, ordinal, attempt, outcome, count(*) from tributary.attempts group by 1, 2, 3, 4"
)
_EVENTS = "select run_id::text, ordinal, attempt, type, count(*) from tributary.event_log group by 1, 2, 3, 4"
_PROGRESS = "select run_id::text, ordinal from tributary.progress"
_LOOSE = " union ".join(
    f"select run_id::text from tributary.{table}" for table in ("payloads", "edges", "keys")
)


def set_clock(connection, now):
    """Let a session's time stand at so many seconds."""
    connection.execute(
        "select set_config('tributary.fake_now', (%s::timestamptz + make_interval(secs => %s))::text, false)",
        (BASE, now),
    )


def forget(connection):
    """Empty the tables of work."""
    connection.execute(";".join(f"delete from tributary.{table}" for table in TABLES))


def compare(connection, model):
    """Assert that the tables are as the model says, and take over the tokens that were renewed."""
    tables = _read(connection)
    told = _told(model)
    for part, expected in told.items():
        assert tables[part] == expected, _difference(part, tables[part], expected)
    assert tables["loose"] <= {row.run for row in model.rows.values()}, "parts of work that is gone"
    _adopt(model, tables["seqs"])


def adopt(connection, model):
    """Take over the tokens that were renewed, and compare nothing else."""
    found = connection.execute("select run_id::text, ordinal, seq from tributary.steps").fetchall()
    _adopt(model, {row[:2]: row[-1] for row in found})


def _adopt(model, seqs):
    for key, seq in seqs.items():
        row = model.rows[key]
        renewed = seq > row.seq if row.renewed else seq == row.seq
        assert renewed, f"the token of {row} went from {row.seq} to {seq}"
        row.seq, row.renewed = seq, False


def _read(connection):
    rows = connection.execute(_ROWS).fetchall()
    return {
        "rows": {row[:2]: row[2:-1] for row in rows},
        "runs": {row[0]: row[1:] for row in connection.execute(_RUNS)},
        "letters": {row[:2]: row[2:] for row in connection.execute(_LETTERS)},
        "attempts": Counter({row[:-1]: row[-1] for row in connection.execute(_ATTEMPTS)}),
        "events": Counter({row[:-1]: row[-1] for row in connection.execute(_EVENTS)}),
        "progress": set(connection.execute(_PROGRESS)),
        "loose": {run for (run,) in connection.execute(_LOOSE)},
        "seqs": {row[:2]: row[-1] for row in rows},
    }


def _told(model):
    return {
        "rows": {
            row.key: (
                row.state, row.reason, row.attempt, row.base, row.crashes, row.lone, row.unmet,
                row.need_failed, row.held_back, row.state == "running" and row.started,
                row.due, row.ended, row.process,
            )
            for row in model.rows.values()
        },
        "runs": {
            run.id: (
                run.state, run.phase, run.ending, run.remaining, run.failed, run.warnings, run.reason,
                run.ended,
            )
            for run in model.runs.values()
        },
        "letters": dict(model.letters),
        "attempts": model.attempts,
        "events": model.events,
        "progress": model.progress,
    }  # fmt: skip


def _difference(part, tables, model):
    if isinstance(tables, set):
        return f"{part}: only the tables have {tables - model}, only the model {model - tables}"
    keys = [key for key in {**tables, **model} if tables.get(key) != model.get(key)]
    return f"{part}: " + "; ".join(
        f"{key}: the tables have {tables.get(key)}, the model {model.get(key)}" for key in keys
    )
