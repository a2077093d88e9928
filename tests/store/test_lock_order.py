"""Locks are taken in one order: eight connections at overlapping work, in any order, never deadlock."""

from __future__ import annotations

import random

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store import special_runs
from tests.store.prune_kit import sweep
from tests.store.test_groups import group_step
from tributary_daemon.store import pruning

pytestmark = pytest.mark.one_shard(
    "who locks in one order does so within a shard, and more shards only part the crowd"
)

CONNECTIONS = 8
QUEUES = (*kit.QUEUES, "heavy")
# a run in its group waits for its children, these for theirs, and then for steps: nobody waits in a circle
GROUPS_OF_RUNS = ("r0", "r1")
GROUPS_OF_CHILDREN = ("c0", "c1", "c2", "c3")
GROUPS_OF_STEPS = ("s0", "s1")
WORDS = (*["completed"] * 6, "skipped", "retry", "discarded", "discarded", "aborted", "snoozed", "released")
HOOKS = {"told": {"hook": "on_failure"}, "undo": {"hook": "on_cancel"}, "last": {"hook": "finally"}}
HEAVY = {"options": {"queue": "heavy"}}
SUB = {"name": special_runs.SUB}


def limited(group, on_limit="queue"):
    return {"group": group, "limit": 2, "on_limit": on_limit}


CHILD = kit.workflow("w.child.v1", {"a": (), "b": HEAVY}, concurrency=limited("c"))
SPECS = (
    kit.workflow("w.dense.v1", dict.fromkeys("abc", ()) | dict.fromkeys("xyz", ("a", "b", "c")), result=1),
    kit.workflow("w.subs.v1", {"a": SUB, "b": SUB, "c": SUB, "d": ()}, fail_fast=True),
    kit.workflow("w.fan.v1", {"f": {"for_each": [1]}, "g": ("f",), **HOOKS}, max_parallel=2),
    kit.workflow("w.one.v1", {"a": (), "b": HEAVY, **HOOKS}, concurrency=limited(GROUPS_OF_RUNS[0])),
    kit.workflow(
        "w.new.v1", {"a": (), "b": ("a",)}, concurrency=limited(GROUPS_OF_RUNS[1], "cancel_running")
    ),
)
OPERATIONS = (
    *["exchange"] * 12,
    *["enter"] * 3,
    *["submit", "submit_run"] * 2,
    *("cancel", "cancel_many", "retry", "retry_many", "retry_from", "requeue_many", "pause", "resume"),
    *("change", "reconcile", "rescue", "progress", "housekeeping", "prune"),
)


class Member(special_runs.Worker):
    """One of many: a worker and an operator that does anything at any time."""

    def __init__(self, connection, seed, child):
        self.chance = random.Random(seed)
        fan = {
            "max_parallel": self.chance.choice([None, 2]), "tolerated": 1, "fail_fast": True, "items": 3,
            "aggregate": True, "sub": self.chance.random() < 0.5, "kept": self.chance.random() < 0.5,
        }  # fmt: skip
        super().__init__(connection, child, fan, QUEUES)
        # whoever is in a deadlock is told so at once, and who waits for ever, too
        connection.execute("set deadlock_timeout = '20ms'; set lock_timeout = '60s'")
        self.accepted = []

    def group(self):
        return self.chance.choice(GROUPS_OF_CHILDREN)

    def some(self, sql, most):
        rows = self.connection.execute(sql).fetchall()
        return [str(row[0]) for row in self.chance.sample(rows, min(most, len(rows)))]

    def runs(self, most=1, where="true"):
        return self.some(f"select run_id from tributary.runs where {where}", most)

    def steer_each(self, sql, ids):
        for one in ids:
            self.steer(sql, one)

    def live(self, operations):
        for _ in range(operations):
            getattr(self, self.chance.choice(OPERATIONS))()

    def exchange(self):
        """Finish some and claim others in one transaction, as workers do."""
        items = sorted(self.chance.sample(self.held, self.chance.randint(0, min(6, len(self.held)))))
        with self.connection.transaction():
            if items:
                words = [self.chance.choice(WORDS) for _ in items]
                refused = self.finish(items, words, 0.0)
                tokens = [(item.run_id, item.ordinal, item.seq) for item in items]
                self.accepted += set(tokens) - set(refused)
            self.held += self.process.claim(self.chance.randint(1, 6))
        self.connection.execute(
            "select tributary.leave_ended(0::smallint, %s::uuid[], %s)",
            ([item.run_id for item in items], [item.ordinal for item in items]),
        )

    def enter(self):
        mine = [item for item in self.held if item.name == kit.NAME and item.kind == "step"]
        if mine:
            item = self.chance.choice(mine)
            inner = "select parent_run_id is not null from tributary.runs where run_id = %s"
            found = self.connection.execute(inner, (item.run_id,)).fetchone()
            groups = GROUPS_OF_STEPS if found == (True,) else GROUPS_OF_CHILDREN
            group = self.chance.choice(groups)
            if group_step(self.connection, self.process, item, group=group, limit=2) != "held":
                self.held.remove(item)

    def submit(self):
        self.connection.execute(
            "select tributary.submit_intent(%s, queue => %s) from generate_series(1, 3)",
            (kit.NAME, self.chance.choice(["default", "heavy"])),
        )

    def submit_run(self):
        kit.start(self.connection, self.chance.choice(SPECS))

    def cancel(self):
        self.steer_each("select tributary.cancel(%s)", self.runs())

    def many(self, action, ids, steps=None):
        ids = sorted(ids)
        self.connection.execute(
            "select from tributary.steer_many(0::smallint, %s, %s::uuid[], %s::text[], '{}')",
            (action, ids, steps or [None] * len(ids)),
        )

    def cancel_many(self):
        self.many("cancel", self.runs(3, "finished_at is null"))

    def retry(self):
        self.steer_each("select tributary.retry(%s)", self.runs())

    def retry_many(self):
        self.many("retry", self.runs(5, "state in ('failed', 'cancelled')"))

    def retry_from(self):
        self.steer_each("select tributary.retry(%s, array['a'])", self.runs(1, "finished_at is not null"))

    def requeue_many(self):
        letters = self.connection.execute(
            "select distinct on (run_id) run_id::text, step_id from tributary.dead_letters order by run_id"
        ).fetchall()
        mine = sorted(self.chance.sample(letters, min(4, len(letters))))
        if mine:
            self.many("requeue", [run for run, _ in mine], [step for _, step in mine])

    def pause(self):
        self.steer_each("select tributary.pause_run(%s)", self.runs(1, "state = 'running'"))

    def resume(self):
        self.steer_each("select tributary.resume_run(%s)", self.runs(2, "state = 'paused'"))

    def change(self):
        self.steer_each(
            f"select tributary.change(%s, priority => {self.chance.randint(0, 9)})",
            self.runs(1, "finished_at is null"),
        )

    def reconcile(self):
        kept = [item for item in self.held if self.chance.random() < 0.8]
        lost = self.process.reconcile(kept)
        self.held = [item for item in kept if (item.run_id, item.ordinal, item.seq) not in lost]

    def rescue(self):
        if self.chance.random() < 0.5:
            self.process.fall_silent()
        kit.rescue(self.connection)
        self.process.beat()

    def progress(self):
        for item in [item for item in self.held if item.name == kit.NAME][:2]:
            kit.scalar(
                self.connection, "select tributary.save_progress({shard}, %s, %s, %s, '{}')",
                item.run_id, item.ordinal, item.seq,
            )  # fmt: skip

    def housekeeping(self):
        special_runs.promote(self.connection)
        kit.everywhere(self.connection, "promote", 100)
        kit.everywhere(self.connection, "expire_runs", 100)

    def prune(self):
        sweep(self.connection, pruning.Retention(keep=0.2, keep_letters=0.2), limit=50)


@pytest.mark.timeout(900)
def test_eight_at_once_never_deadlock(database, connection, histories):
    kit.offer(connection)
    connection.execute("select tributary.set_queue('heavy', 3)")
    child = str(kit.save(connection, CHILD))
    for number in range(20):
        kit.start(connection, SPECS[number % len(SPECS)])
    with kit.connections(database, CONNECTIONS) as opened:
        members = [Member(one, number, child) for number, one in enumerate(opened)]
        errors = []

        def live(member):
            try:
                member.live(histories * 3)
            except psycopg.Error as error:
                errors.append((error.sqlstate, str(error), error.diag.context))

        kit.together(*(lambda m=member: live(m) for member in members), timeout=None)
    assert errors == []
    accepted = [token for member in members for token in member.accepted]
    assert len(accepted) == len(set(accepted)), "an attempt was accepted twice"
    special_runs.check(connection)

    last = special_runs.Worker(connection, child, members[0].fan, QUEUES)
    for member in members:
        member.process.connection = connection
        member.process.reconcile()
    last.come_to_an_end()
    special_runs.promote(connection)
    assert kit.scalar(connection, "select count(*) from tributary.group_slots") == 0
    assert kit.scalar(connection, "select tributary.queue_opens('heavy')") == 0
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    assert kit.scalar(connection, deadlocks) == 0
