"""What the tests of the SQL protocol share: coherent rows, processes, the invariants."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from tributary_daemon.model.states import STEP_TRANSITIONS, StepState
from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec
from tributary_daemon.store import db

NAME = "t.work.v1"
CLOSING = "trib.close.v1"
QUEUES = ("default", "~closing")


class Claimed(NamedTuple):
    """One row of claim_leases."""

    run_id: str
    ordinal: int
    seq: int
    kind: str
    name: str
    step_id: str | None
    queue: str
    attempt: int
    max_attempts: int
    payload: str | None
    options: str | None
    lone_crashes: int | None = None
    tid: str | None = None


def offer(connection, *names, **options):
    """Publish handlers as a Python worker does, and release what waited for them."""
    handlers = [{"name": name, "options": options} for name in names or (NAME,)]
    new = scalar(connection, "select tributary.register_handlers('python', %s::jsonb)", json.dumps(handlers))
    while scalar(connection, "select tributary.release_waiting(0::smallint, 1000)"):
        pass
    return new


def scalar(connection, sql, *params):
    """Return the one value of a statement."""
    return connection.execute(sql, params or None).fetchone()[0]


def answer(connection, operation):
    """Run an operation of the store that is one statement; return what it returns."""
    asked = next(operation)
    rows = connection.execute(asked.sql, asked.params).fetchall()
    try:
        operation.send(rows)
    except StopIteration as done:
        return done.value
    raise AssertionError("one statement was expected")


def workflow(name, steps, **head):
    """Build a workflow; ``steps`` maps an id to its needs, or to fields of StepSpec."""
    fields = [given if isinstance(given, dict) else {"needs": given} for given in steps.values()]
    built = [
        StepSpec(id=step, ordinal=ordinal, **{"name": NAME, **given})
        for ordinal, (step, given) in enumerate(zip(steps, fields, strict=True), 1)
    ]
    return WorkflowSpec(name=name, steps=tuple(built), **head)


def save(connection, spec):
    """Keep the revision of a workflow and return its id."""
    return scalar(
        connection,
        "select tributary.save_revision(%s, %s, '', %s::jsonb)",
        spec.name,
        spec.revision_hash(),
        json.dumps(spec.plan()),
    )


def start(connection, spec, *, key=None, submit=None, config=None, run_at=None, private=None):
    """Submit a run of a workflow and return its id."""
    return scalar(
        connection,
        """select run_id::text from tributary.submit_run(%s, %s, '{}', %s, %s::jsonb, %s::jsonb, %s, null, '',
                                                         null, %s, null)""",
        save(connection, spec),
        spec.name,
        key,
        json.dumps(submit) if submit else None,
        json.dumps(config) if config else None,
        run_at,
        private,
    )


def intent(connection, name=NAME, **options):
    """Submit an intent with the public function and return its id."""
    given = "".join(f", {option} => %({option})s" for option in options)
    sql = f"select tributary.submit_intent(%(name)s, '{{}}'{given})::text"
    return connection.execute(sql, {"name": name, **options}).fetchone()[0]


def row(connection, run_id, step=None):
    """Return a row of steps: the intent, or the step with that id."""
    cursor = connection.execute(
        "select * from tributary.steps"
        " where run_id = %s and step_id is not distinct from %s and kind <> 'closing'",
        (run_id, step),
    )
    found = cursor.fetchone()
    return dict(zip([column.name for column in cursor.description], found, strict=True)) if found else None


def states(connection, run_id):
    """Return {step id: state} of a run; the closing step is left out."""
    return dict(
        connection.execute(
            "select step_id, state::text from tributary.steps"
            " where run_id = %s and kind = 'step' order by ordinal",
            (run_id,),
        ).fetchall()
    )


def run_row(connection, run_id):
    """Return (state, remaining, failed, warnings, reason) of a run."""
    return connection.execute(
        "select state::text, remaining, failed, warnings, reason from tributary.runs where run_id = %s",
        (run_id,),
    ).fetchone()


def advance(connection, interval):
    """Move the fake clock of this session forward."""
    connection.execute(
        "select set_config('tributary.fake_now', (tributary.clock() + %s::interval)::text, false)",
        (interval,),
    )


class Process:
    """A registered process on one connection."""

    def __init__(self, connection, *, queues=QUEUES, names=(NAME, CLOSING), runtime="python"):
        self.connection = connection
        self.queues = list(queues)
        self.names = list(names)
        self.id = scalar(connection, "select tributary.register_process('test', %s)", runtime)

    def beat(self):
        """Renew the lease."""
        return scalar(self.connection, "select tributary.heartbeat(%s)", self.id)

    def claim(self, most=100):
        """Claim over all lanes of the queues."""
        self.connection.execute("select tributary.promote(0::smallint, 500)")
        lanes = self.connection.execute(
            """select array_agg(queue), array_agg(priority), array_agg(tenant_id), array_agg(first_seq)
               from (select * from tributary.find_lanes(0::smallint, %s) order by priority desc) as lanes""",
            (self.queues,),
        ).fetchone()
        return self.take(*lanes, most)

    def take(self, queues, priorities, tenants, lows, most):
        """Claim from the given lanes."""
        rows = self.connection.execute(
            """select run_id::text, ordinal, seq, kind::text, name, step_id, queue, attempt, max_attempts,
                      payload, options, lone_crashes, tid::text
               from tributary.claim_leases(0::smallint, %s, %s::text[], %s::smallint[], %s::text[],
                                          %s::bigint[], %s::text[], %s) order by seq, ordinal""",
            (self.id, queues, priorities, tenants, lows, self.names, most),
        ).fetchall()
        return [Claimed(*found) for found in rows]

    def finish(self, claimed, outcome="completed", *, result="null", error=None, delay=None, elapsed=0.0):
        """Write down one outcome for all rows, or one for each; return the refused tokens."""
        outcomes = [outcome] * len(claimed) if isinstance(outcome, str) else list(outcome)
        usual = set(outcomes) == {"completed"}
        if usual:
            # as a worker does: in the order of the locks, with the places where the claim has left the rows
            claimed = sorted(claimed, key=lambda item: (item.run_id, item.ordinal, item.seq))
        failed = {"type": "Failed", "message": "no"} if error is None else error
        rows = self.connection.execute(
            """select run_id::text, ordinal, seq
               from tributary.finish_leases(0::smallint, %s, %s::tid[], %s::uuid[], %s::int[], %s::bigint[],
                                            %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[],
                                            %s, %s, %s, 100)""",
            (
                self.id,
                [item.tid for item in claimed] if usual else None,
                [item.run_id for item in claimed],
                [item.ordinal for item in claimed],
                [item.seq for item in claimed],
                None if usual else outcomes,
                [result] * len(claimed),
                [
                    json.dumps(failed) if word in {"retry", "discarded", "aborted"} or error else None
                    for word in outcomes
                ],
                [delay] * len(claimed),
                [elapsed] * len(claimed),
                any(item.kind != "intent" for item in claimed),
                self.queues,
                self.names,
            ),
        ).fetchall()
        return [tuple(refused) for refused in rows]

    def reconcile(self, held=()):
        """Tell what is held; return the lost tokens."""
        rows = self.connection.execute(
            """select run_id::text, ordinal, seq
               from tributary.reconcile(0::smallint, %s, %s::uuid[], %s::int[], %s::bigint[])""",
            (
                self.id,
                [item.run_id for item in held],
                [item.ordinal for item in held],
                [item.seq for item in held],
            ),
        ).fetchall()
        return [tuple(lost) for lost in rows]

    def fall_silent(self):
        """Make its last beat an old one."""
        self.connection.execute(
            "update tributary.processes set beat_at = beat_at - interval '1 minute' where process_id = %s",
            (self.id,),
        )

    def work_off(self, outcome="completed", most=100):
        """Claim and finish until nothing is claimable; return how many attempts that were."""
        count = 0
        while claimed := self.claim(most):
            assert self.finish(claimed, outcome) == []
            count += len(claimed)
        return count


def rescue(connection):
    """Take the attempts of silent processes away; return how many."""
    return scalar(connection, "select tributary.rescue(0::smallint, interval '10 seconds', 500)")


@contextmanager
def connections(url, count):
    """Open connections of their own for threads."""
    opened = [db.connect(url, application_name=f"test {number}") for number in range(count)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()


def together(*calls, timeout=60):
    """Run calls in threads that start at once; return their results, raise what the first one raised."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout) for future in [pool.submit(run, call) for call in calls]]


def backend(connection):
    """Return the process id of the server's side."""
    return connection.info.backend_pid


def waits(observer, pid):
    """Return whether that backend waits for a lock."""
    return scalar(
        observer, "select coalesce(wait_event_type = 'Lock', false) from pg_stat_activity where pid = %s", pid
    )


_ENDED = "('completed', 'skipped', 'cancelled', 'discarded')"
# a workflow function decides what the failure of a step means that it has asked for
_ASKED = "(s.flags & 24576 = 16384)"
_ILL = "s.state = 'cancelled' or s.reason = 'aborted' or (s.state = 'discarded' and s.flags & 1 = 0)"
_BAD = f"(not {_ASKED} and ({_ILL}))"
INVARIANTS = {
    "remaining is the number of unended steps": f"""
        select r.run_id from tributary.runs r where r.remaining <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
              and s.state not in {_ENDED})""",
    "an ended run has no unended row": f"""
        select r.run_id from tributary.runs r
        join tributary.steps s on s.shard = r.shard and s.run_id = r.run_id
        where r.state not in ('running', 'paused') and s.state not in {_ENDED}""",
    "a run at work has work": f"""
        select r.run_id from tributary.runs r where r.state in ('running', 'paused') and not exists (
            select from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.state <> 'blocked'
              and s.state not in {_ENDED})""",
    "failed counts what ended badly": f"""
        select r.run_id from tributary.runs r
        where r.state in ('running', 'paused', 'completed') and r.failed <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step' and {_BAD})""",
    "a failed run has a reason": """
        select run_id from tributary.runs
        where state = 'failed' and failed = 0 and reason is distinct from 'result'""",
    "a completed run failed nowhere": """
        select run_id from tributary.runs where state = 'completed' and failed > 0""",
    "warnings counts what was tolerated": """
        select r.run_id from tributary.runs r where r.warnings <> (
            select count(*) from tributary.steps s
            where s.shard = r.shard and s.run_id = r.run_id and s.kind = 'step'
              and s.state = 'discarded' and s.flags & 1 = 1 and s.reason <> 'aborted')""",
    "blocked means unmet": f"""
        select run_id from tributary.steps
        where state not in {_ENDED} and (state = 'blocked' or reason = 'steps') <> (unmet > 0)""",
    "unmet counts the needs that have not ended": f"""
        select s.run_id from tributary.steps s where s.state = 'blocked' and s.kind = 'step' and s.unmet <> (
            select count(*) from tributary.edges e
            join tributary.steps p on p.shard = e.shard and p.run_id = e.run_id and p.ordinal = e.parent
            where e.shard = s.shard and e.run_id = s.run_id and e.child = s.ordinal
              and p.state not in {_ENDED})""",
    "nothing starts below a need that ended badly": f"""
        select c.run_id from tributary.steps c
        join tributary.edges e on e.shard = c.shard and e.run_id = c.run_id and e.child = c.ordinal
        join tributary.steps s on s.shard = e.shard and s.run_id = e.run_id and s.ordinal = e.parent
        where c.state in ('available', 'scheduled', 'running', 'completed', 'discarded')
          and not {_ASKED} and (s.state not in {_ENDED} or {_BAD})""",
    "discarded rows have their dead letter": f"""
        select s.run_id from tributary.steps s
        where s.kind <> 'closing' and not {_ASKED}
          and (s.state = 'discarded' and (s.flags & 1 = 0 or s.reason = 'aborted')) <> exists (
            select from tributary.dead_letters d
            where d.shard = s.shard and d.run_id = s.run_id and d.ordinal = s.ordinal)""",
    "discarded rows have their attempt": """
        select s.run_id from tributary.steps s where s.state = 'discarded' and not exists (
            select from tributary.attempts a
            where a.shard = s.shard and a.run_id = s.run_id and a.ordinal = s.ordinal
              and a.attempt = s.attempt and a.outcome in ('discarded', 'aborted'))""",
    "who waits for a handler is not claimable": """
        select run_id from tributary.steps
        where reason = 'no_handler' and state in ('available', 'scheduled', 'running', 'completed')""",
    "attempts are counted on from their base": """
        select run_id from tributary.steps
        where attempt - attempt_base < crashes or attempt_base < 0 or max_attempts < 1
           or crashes < 0 or lone_crashes not between 0 and crashes""",
    "what runs was claimed at some time": """
        select run_id from tributary.steps where state = 'running' and claimed_at is null""",
    "keys lead to their row": """
        select k.run_id from tributary.keys k where not exists (
            select from tributary.steps s where s.shard = k.shard and s.run_id = k.run_id)""",
    "steps have their payload": """
        select s.run_id from tributary.steps s where s.kind <> 'closing' and (s.payload is null) <> exists (
            select from tributary.payloads p
            where p.shard = s.shard and p.run_id = s.run_id and p.ordinal = s.ordinal)""",
}


def check_invariants(connection) -> None:
    """Assert what must hold between any two transactions."""
    broken: dict[str, Any] = {}
    for rule, sql in INVARIANTS.items():
        if found := connection.execute(sql + " limit 3").fetchall():
            broken[rule] = [
                connection.execute(
                    "select ordinal, state::text, reason, unmet, flags, attempt from tributary.steps"
                    " where run_id = %s order by ordinal limit 20",
                    (run_id,),
                ).fetchall()
                for (run_id,) in found
            ]
    assert broken == {}


def watch_transitions(connection) -> None:
    """Log every change of a step's state from now on."""
    connection.execute("""
        create table public.transitions (run_id uuid, ordinal int, old text, new text, renewed boolean);
        create function public.log_transition() returns trigger language plpgsql as $$
        begin
            insert into public.transitions
            values (new.run_id, new.ordinal, old.state::text, new.state::text, new.seq > old.seq);
            return null;
        end $$;
        create trigger watched after update on tributary.steps for each row
            when (old.state is distinct from new.state) execute function public.log_transition()
    """)


def check_transitions(connection) -> set[tuple[StepState, StepState]]:
    """Assert that the model knows every logged transition, and that what became available has a new seq."""
    rows = connection.execute("select distinct old, new, renewed from public.transitions").fetchall()
    assert [found for found in rows if found[1] == "available" and not found[2]] == []
    seen = {(StepState(old), StepState(new)) for old, new, _ in rows}
    assert {(old, new) for old, new in seen if new not in STEP_TRANSITIONS[old]} == set()
    return seen
