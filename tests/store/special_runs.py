"""Runs with hooks, limits, groups, fan-outs and children: how they are made, worked off and judged."""

from __future__ import annotations

import json

import psycopg
import pytest
from hypothesis import strategies as st

from tests.store import protocol_kit as kit

SUB, FAN, WAIT = "trib.workflow.v1", "trib.fan.v1", "trib.wait.v1"
NAMES = (kit.NAME, kit.CLOSING, SUB, FAN, WAIT)
# nobody has to send it: it goes on without
SIGNAL = {"kind": "signal", "signal": "go", "seconds": 30, "goes_on": True}
EXPANDED, AGGREGATED = 8192, 16384
GROUPS = (
    {"group": "g", "limit": 1, "on_limit": "queue"},
    {"group": "h", "limit": 1, "on_limit": "cancel_running"},
)
TABLES = (
    *("steps", "runs", "payloads", "edges", "attempts", "event_log", "dead_letters", "progress"),
    *("group_slots", "groups", "waits", "signals"),
)
_ENDED = "('completed', 'skipped', 'cancelled', 'discarded')"
_OF_PHASE = """s.kind = 'step' and case when r.phase in ('steps', 'closing') then s.flags & 7680 = 0
                                        else s.flags & 7680 = tributary.hook_bits(r.phase) end"""
INVARIANTS = {
    "remaining is what has not ended of the phase": f"""
        select r.run_id from tributary.runs r where r.state in ('running', 'paused') and r.remaining <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.finished_at is null and {_OF_PHASE})""",
    "an ended run has no row that has not": """
        select r.run_id from tributary.runs r join tributary.steps s using (shard, run_id)
        where r.state not in ('running', 'paused') and s.finished_at is null""",
    "nothing of a phase that is over has not ended": f"""
        select r.run_id from tributary.runs r join tributary.steps s using (shard, run_id)
        where r.phase not in ('steps', 'closing') and s.finished_at is null and s.state <> 'blocked'
          and not ({_OF_PHASE})""",
    "a run at work has work": """
        select r.run_id from tributary.runs r where r.state in ('running', 'paused') and not exists (
            select from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.state <> 'blocked'
              and s.finished_at is null)""",
    "what is limited keeps to the limit": """
        select r.run_id from tributary.runs r where r.max_parallel < (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.flags & 128 = 128
              and s.state in ('available', 'scheduled', 'running'))""",
    "nothing of a paused run starts": """
        select r.run_id from tributary.runs r join tributary.steps s using (shard, run_id)
        where r.state = 'paused' and s.kind = 'step' and s.state in ('available', 'scheduled')""",
    "nothing of another run is paused": """
        select r.run_id from tributary.runs r join tributary.steps s using (shard, run_id)
        where r.state = 'running' and s.finished_at is null and (s.reason = 'paused' or s.flags & 64 = 64)""",
    "who waits for a child has one": """
        select s.run_id from tributary.steps s
        where s.state = 'waiting' and s.reason = 'child' and not exists (
            select from tributary.runs r
            where r.parent_run_id = s.run_id and r.parent_ordinal = s.ordinal and r.finished_at is null)""",
    "who is to keep a result has a child that led to it": f"""
        select s.run_id from tributary.steps s
        where s.name = '{SUB}' and s.flags & {EXPANDED} <> 0 and s.finished_at is null and not exists (
            select from tributary.runs r
            where r.parent_run_id = s.run_id and r.parent_ordinal = s.ordinal and r.state = 'completed'
              and r.flags & 256 = 256)""",
    "who waits for a signal is known for it": """
        select s.run_id from tributary.steps s
        full join tributary.waits w using (shard, run_id, ordinal)
        where (s.state = 'waiting' and s.reason = 'signal') is distinct from (w.run_id is not null)""",
    "a signal is taken by a step that has it": """
        select g.run_id from tributary.signals g
        join tributary.steps s on s.run_id = g.run_id and s.ordinal = g.taken_by
        where s.state = 'waiting' and s.reason = 'signal' and s.claimed_at < g.taken_at""",
    "who waits for items has some": f"""
        select s.run_id from tributary.steps s
        where s.state = 'waiting' and s.reason = 'items' and s.unmet <> (
            select count(*) from tributary.edges e
            join tributary.steps i on i.run_id = e.run_id and i.ordinal = e.parent
            where e.run_id = s.run_id and e.child = s.ordinal and i.state not in {_ENDED})""",
    "unmet counts the needs that have not ended": f"""
        select s.run_id from tributary.steps s join tributary.runs r using (shard, run_id)
        where s.state = 'blocked' and s.kind = 'step' and s.flags & 256 = 0 and s.unmet <> (
            select count(*) from tributary.edges e
            join tributary.steps p on p.run_id = e.run_id and p.ordinal = e.parent
            where e.run_id = s.run_id and e.child = s.ordinal and p.state not in {_ENDED})
            + (s.flags & 7680 <> 0 and s.flags & 7680 <> tributary.hook_bits(r.phase))::integer""",
    "a run that goes well undoes nothing": """
        select s.run_id from tributary.steps s join tributary.runs r using (shard, run_id)
        where s.flags & 7680 = 1536 and (r.state = 'completed' or r.ending = 'completed')""",
    "what undoes undoes what had completed": """
        select u.run_id from tributary.steps u where u.flags & 7680 = 1536 and not exists (
            select from tributary.steps s where s.run_id = u.run_id and s.state = 'completed'
              and s.flags & 7680 = 0
              and u.step_id = 'undo:' || s.step_id || coalesce('[' || s.item_key || ']', ''))""",
    "a run that completed failed nowhere": """
        select run_id from tributary.runs where state = 'completed' and failed > 0""",
    "no room is left while a step waits for it": """
        select r.run_id from tributary.runs r where r.state = 'running' and r.max_parallel > (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.flags & 128 = 128
              and s.state in ('available', 'scheduled', 'running'))
            and exists (select from tributary.steps s where s.run_id = r.run_id and s.reason = 'parallel')
            and not exists (select from tributary.group_slots g
                            where g.run_id = r.run_id and g.ordinal = -1 and g.state = 'waiting')""",
    "warnings are counted": """
        select r.run_id from tributary.runs r where r.warnings < 0 or r.failed < 0 or r.remaining < 0""",
}


def check(connection):
    """Look for what must never be."""
    for name, query in INVARIANTS.items():
        found = connection.execute(query).fetchall()
        assert not found, (name, found)


@st.composite
def workflows(draw, children=True):
    steps = {}
    size = draw(st.integers(1, 4))
    for number in range(size):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set()
        kind = draw(st.sampled_from(["task", "task", "fan", "wait", *(["sub"] if children else [])]))
        steps[f"s{number}"] = {
            "needs": tuple(f"s{need}" for need in sorted(needs)),
            "continue_on_error": draw(st.booleans()),
            "options": {"max_attempts": draw(st.sampled_from([1, 2]))},
            "undo": draw(st.sampled_from([None, {"name": kit.NAME}])),
            **{"fan": {"for_each": [1]}, "sub": {"name": SUB}, "wait": {"name": WAIT}}.get(kind, {}),
        }
    for hook in draw(st.sets(st.sampled_from(["on_success", "on_failure", "on_cancel", "finally"]))):
        fan = {"for_each": [1]} if draw(st.booleans()) else {}
        steps[hook[:4]] = {"hook": hook, **fan}
        if draw(st.booleans()):
            steps[hook[:4] + "2"] = {"hook": hook, "needs": (hook[:4],)}
    order = sorted(steps, key=lambda step: "hook" in steps[step])
    return kit.workflow(
        "w.parent.v1" if children else "w.child.v1",
        {step: steps[step] for step in order},
        result=draw(st.sampled_from([None, 1])),
        fail_fast=draw(st.booleans()),
        max_parallel=draw(st.sampled_from([None, None, 1, 2])),
        concurrency=draw(st.sampled_from([None, None, *GROUPS])),
    )


FANS = st.fixed_dictionaries(
    {
        "max_parallel": st.sampled_from([None, 1, 2]),
        "tolerated": st.integers(0, 2),
        "fail_fast": st.booleans(),
        "items": st.integers(1, 4),
        "aggregate": st.booleans(),
        "sub": st.booleans(),
        "kept": st.booleans(),
    }
)


def promote(connection):
    """Do what maintenance does for groups and limits."""
    connection.execute("select tributary.sweep_groups(500, null)")
    kit.everywhere(connection, "promote_groups", 100)
    kit.everywhere(connection, "fire_waits", 100)
    while kit.everywhere(connection, "release_waiting", 1000):
        pass
    kit.everywhere(connection, "fill_waiting", 1000)


class Worker:
    """A process with all that it holds; its fan-outs and sub-workflows are as told."""

    def __init__(self, connection, child, fan, queues=kit.QUEUES):
        self.connection, self.child, self.fan = connection, child, fan
        self.process = kit.Process(connection, queues=queues, names=NAMES)
        self.held = []

    def group(self):
        """Return the group that the next child run asks for, if its workflow names one."""
        return "c"

    def outcome(self, item, word):
        """Return the outcome and result of an attempt."""
        found = self.connection.execute(
            "select s.flags, r.parent_run_id is not null from tributary.steps s"
            " left join tributary.runs r using (run_id) where run_id = %s and ordinal = %s",
            (item.run_id, item.ordinal),
        ).fetchone()
        flags, inner = found or (0, False)
        if word not in ("completed", "skipped"):
            # only a handler aborts
            return "discarded" if word == "aborted" and item.name != kit.NAME else word, None
        if item.name == FAN and not flags & EXPANDED:
            rules = {key: self.fan[key] for key in ("max_parallel", "tolerated", "fail_fast")}
            name = SUB if self.fan["sub"] and not inner else kit.NAME
            items = [{"key": str(n), "payload": {"item": n, "index": n}} for n in range(self.fan["items"])]
            return "expanded", json.dumps(
                {"name": name, **rules, "item_flags": 0, "fan_flags": EXPANDED, "items": items}
            )
        if item.name == FAN and self.fan["aggregate"] and not flags & AGGREGATED:
            return "expanded", json.dumps(
                {
                    "name": kit.NAME,
                    "item_flags": 0,
                    "fan_flags": AGGREGATED,
                    "items": [{"key": "aggregate", "payload": {"aggregate": True}}],
                }
            )
        if item.name == SUB and not flags & EXPANDED:
            kept = {"cached": {"digest": "d"}} if self.fan["kept"] else {}
            return "started", json.dumps(
                {"revision": self.child, "name": "w.child.v1", "inputs": {}, "group": self.group(), **kept}
            )
        if item.name == WAIT:
            return "waits", json.dumps(SIGNAL)
        if item.kind == "closing":
            return "completed", "1"
        return word, "null"

    def finish(self, items, words, delay):
        """Write outcomes down in one batch; return the refused tokens."""
        told = [self.outcome(item, word) for item, word in zip(items, words, strict=False)]
        self.held = [item for item in self.held if item not in items]
        failed = json.dumps({"type": "Failed", "message": "no"})
        return self.connection.execute(
            """select run_id::text, ordinal, seq
               from tributary.finish_leases(
                   0::smallint, %s, null, %s::uuid[], %s::int[], %s::bigint[],
                   %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], true, '{}', '{}', 0)""",
            (
                self.process.id,
                [i.run_id for i in items],
                [i.ordinal for i in items],
                [i.seq for i in items],
                [word for word, _ in told],
                [result for _, result in told],
                [failed if word in {"retry", "discarded", "aborted"} else None for word, _ in told],
                [delay] * len(items),
                [0.0] * len(items),
            ),
        ).fetchall()

    def steer(self, sql, *params):
        """Do what an operator does; what is not possible at this moment is refused."""
        try:
            self.connection.execute(sql, params or None)
        except psycopg.Error as error:
            assert error.sqlstate in {"TR003", "TR004"}, error  # noqa: PT017 - both answers are right

    def advance(self):
        """Let time go by."""
        kit.advance(self.connection, "40 seconds")
        self.process.beat()

    def come_to_an_end(self):
        """Work off all that is left, and look after each round. In a group children take turns for long."""
        idle = 0
        for _ in range(5_000):
            # a child may be paused alone
            for (run,) in self.connection.execute("select run_id from tributary.runs where state = 'paused'"):
                self.steer("select tributary.resume_run(%s)", run)
            self.finish(list(self.held), ["completed"] * len(self.held), 0.0)
            check(self.connection)
            if not kit.scalar(
                self.connection, "select count(*) from tributary.steps where finished_at is null"
            ):
                return
            self.advance()
            promote(self.connection)
            check(self.connection)
            self.held = self.process.claim()
            idle = 0 if self.held else idle + 1
            if idle > 50:
                break
        left = self.connection.execute(
            "select run_id::text, ordinal, name, queue, state::text, reason, flags, unmet, run_at"
            " from tributary.steps where finished_at is null order by state = 'blocked', run_id limit 9"
        ).fetchall()
        pytest.fail(f"work was left over: {left}")
