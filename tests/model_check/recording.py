"""Calls the real SQL functions in random orders, as several processes would, and records what they answer.

A plan is submitted and committed once; each trace is a transaction that is rolled back, with its own clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tests.model_check.replay import Entry, Trace
from tests.model_check.tables import Run, Step, Tables, intent, run
from tests.store import protocol_kit as kit

if TYPE_CHECKING:
    from tests.model_check.tables import Plan

PROCESSES = 3
START = "2030-01-01T00:00:00Z"
OUTCOMES = (
    *("completed",) * 6,
    *("retry", "retry", "discarded", "skipped", "aborted", "snoozed", "released", "returned"),
    *("crashed", "suspected", "suspected", "crashed_alone", "crashed_alone"),
)
PLANS = {
    "intent, once": intent(1),
    "intent, twice": intent(2),
    "fan-in": run((), (), (0, 1)),
    "fan-in, once": run((), (), (0, 1), most=1),
    "fan-in, one tolerated": run((), (), (0, 1), most=(2, 1, 2), tolerated=(0,)),
    "chain": run((), (0,), (1,), most=(1, 2, 1), tolerated=(1,)),
    "diamond": run((), (0,), (0,), (1, 2), most=(2, 1, 1, 2)),
    "two ends": run((), (), (0,), (0, 1)),
}
_READ = """
select (select json_agg(json_build_array(
            s.state, s.unmet, s.flags & 2 <> 0, s.attempt, s.attempt_base, s.crashes, s.lone_crashes,
            s.state = 'running' and s.started_at is not null, s.seq, s.process_id,
            s.state = 'scheduled' and s.run_at <= tributary.clock(), s.reason,
            exists (select from tributary.dead_letters d
                    where d.shard = s.shard and d.run_id = s.run_id and d.ordinal = s.ordinal)
            ) order by s.ordinal)
        from tributary.steps s where s.shard = 0 and s.run_id = %(id)s),
       (select json_build_array(r.state, r.remaining, r.failed, r.warnings, r.reason)
        from tributary.runs r where r.shard = 0 and r.run_id = %(id)s),
       (select array_agg(p.beat_at >= tributary.clock() - interval '10 seconds' order by n)
        from unnest(%(processes)s::bigint[]) with ordinality as u(id, n)
        join tributary.processes p on p.process_id = u.id)
"""


class Stage:
    """A submitted plan and the processes that work on it, through one connection."""

    def __init__(self, connection, plan: Plan, name: str, *, public: bool = False) -> None:
        self.connection, self.plan, self.public = connection, plan, public
        queue = f"q.{name}".replace(" ", "").replace(",", ".")
        self.first = 1 if plan.is_run else 0
        handler = "t.other.v1" if public else kit.NAME
        runtime = "other" if public else "python"
        self.processes = [
            kit.Process(connection, queues=[queue], names=[handler], runtime=runtime)
            for _ in range(PROCESSES)
        ]
        if public:
            kit.scalar(connection, "select tributary.register_process('first', 'other', array['t.other.v1'])")
        else:
            kit.offer(connection)
        self.id = self._run(queue) if plan.is_run else self._intent(queue, handler)

    def _intent(self, queue, handler):
        return kit.intent(self.connection, handler, queue=queue, max_attempts=self.plan.max_attempts[0])

    def _run(self, queue):
        steps = {
            f"s{number}": {
                "needs": tuple(f"s{need}" for need in needs),
                "continue_on_error": self.plan.tolerated[number],
                "options": {"max_attempts": self.plan.max_attempts[number], "queue": queue},
            }
            for number, needs in enumerate(self.plan.needs)
        }
        return kit.start(self.connection, kit.workflow(f"{queue}.v1", steps))


class Recorder:
    """Makes calls on a stage and notes them."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.connection = stage, stage.connection
        self.kit = stage.processes
        self.numbers = {process.id: number for number, process in enumerate(stage.processes)}
        self.seqs: list[list[int]] = [[] for _ in stage.plan.needs]
        self.leases: dict[tuple[int, int], kit.Claimed] = {}
        self.held: list[list[tuple[int, int]]] = [[] for _ in stage.processes]
        self.entries: list[Entry] = []
        kit.scalar(self.connection, "select set_config('tributary.fake_now', %s, true)", START)
        for process in stage.processes:
            process.beat()
        self.note(("submit",), None)

    @property
    def trace(self) -> Trace:
        return Trace(self.stage.plan, tuple(self.entries))

    def note(self, asked, answer):
        """Add what was asked and answered, with what the tables say now."""
        rows, run_row, fresh = self.connection.execute(
            _READ, {"id": self.stage.id, "processes": list(self.numbers)}, prepare=True
        ).fetchone()
        steps = tuple(
            Step(*row[:8], self.token(number, row[8]), self.numbers.get(row[9], row[9]), *row[10:12])
            for number, row in enumerate(rows)
        )
        dead = frozenset(number for number, row in enumerate(rows) if row[12])
        tables = Tables(steps, Run(*run_row) if run_row else None, tuple(fresh))
        self.entries.append(Entry(asked, answer, tables, dead))
        return answer

    def token(self, step, seq):
        """Return which of the seqs of a step this is; one from nowhere in between is none of the model's."""
        known = self.seqs[step]
        if seq not in known:
            if known and seq < known[-1]:
                return -1
            known.append(seq)
        return known.index(seq)

    def ask(self, asked, call):
        """Make a call that may be refused; note the SQLSTATE where it was."""
        try:
            with self.connection.transaction():
                answer = call()
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith("TR"):
                raise
            answer = error.sqlstate
        return self.note(asked, answer)

    # each call, as (operation, what it is given) of the judge

    def claim(self, number, most):
        process = self.kit[number]
        claimed = process.take(process.queues, [0], [""], [0], most)
        answer = []
        for item in claimed:
            step = item.ordinal - self.stage.first
            lease = (step, self.token(step, item.seq))
            self.leases[lease] = item
            self.held[number].append(lease)
            answer.append((*lease, item.attempt, item.max_attempts, item.lone_crashes))
        return self.note(("claim", number, most), tuple(answer))

    def mark(self, leases):
        items = [self.leases[lease] for lease in leases]
        sql = "select ordinal, seq from tributary.mark_started(0::smallint, %s::uuid[], %s::int[], %s)"
        given = zip(*[(item.run_id, item.ordinal, item.seq) for item in items], strict=True)
        rows = self.connection.execute(sql, [list(values) for values in given]).fetchall()
        return self.note(("mark", tuple(leases)), self.those(rows))

    def finish(self, number, batch):
        """Bring outcomes: (step, token, outcome, later) of each."""
        items = [self.leases[told[:2]] for told in batch]
        words = [told[2] for told in batch]
        delay = 30.0 if batch[0][3] else 0.0
        refused = self.kit[number].finish(items, words, delay=delay)
        for told in batch:
            if told[:2] in self.held[number]:
                self.held[number].remove(told[:2])
        return self.note(("finish", number, tuple(batch)), self.those(row[1:] for row in refused))

    def rescue(self):
        return self.note(("rescue",), kit.rescue(self.connection))

    def reconcile(self, number, held):
        lost = self.kit[number].reconcile([self.leases[lease] for lease in held])
        self.held[number] = list(held)
        return self.note(("reconcile", number, tuple(held)), self.those(row[1:] for row in lost))

    def promote(self):
        return self.note(("promote",), kit.everywhere(self.connection, "promote", 500))

    def beat(self, number):
        return self.note(("beat", number), self.kit[number].beat())

    def fall_silent(self, number):
        return self.note(("fall_silent", number), self.kit[number].fall_silent())

    def time_passes(self):
        self.connection.execute(
            "select set_config('tributary.fake_now', (tributary.clock() + interval '40 seconds')::text, true)"
        )
        return self.note(("time_passes",), None)

    def cancel(self):
        return self.ask(
            ("cancel",), lambda: kit.scalar(self.connection, "select tributary.cancel(%s)", self.stage.id)
        )

    def retry(self, start):
        steps = None if start is None else [f"s{start}"]
        sql = "select tributary.retry(%s, %s)"
        return self.ask(("retry", start), lambda: kit.scalar(self.connection, sql, self.stage.id, steps))

    def requeue(self, step):
        name = f"s{step}" if self.stage.plan.is_run else None
        sql = "select tributary.requeue(%s, %s)"
        return self.ask(("requeue", step), lambda: kit.scalar(self.connection, sql, self.stage.id, name))

    def those(self, rows):
        """Return rows of (ordinal, seq) as leases."""
        first = self.stage.first
        return tuple(sorted((ordinal - first, self.token(ordinal - first, seq)) for ordinal, seq in rows))
