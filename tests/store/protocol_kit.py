"""What the tests of the SQL protocol share: coherent rows, processes, the invariants."""

from __future__ import annotations

import json
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import NamedTuple

from tests.store.invariants import (  # noqa: F401 - for those who use the kit
    INVARIANTS,
    check_invariants,
    check_transitions,
    watch_transitions,
)
from tributary_daemon.model.ids import slot_of
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
    while everywhere(connection, "release_waiting", 1000):
        pass
    return new


def shards(connection):
    """Return the numbers of the shards of this database."""
    return range(scalar(connection, "select tributary.shard_count()"))


def shard_of(connection, run_id):
    """Return the shard where the rows of an id are."""
    return slot_of(str(run_id)) % len(shards(connection))


def everywhere(connection, function, most):
    """Call a function that takes a shard and a limit on each shard; return the sum of its answers."""
    return sum(
        scalar(connection, f"select tributary.{function}(%s::smallint, %s)", shard, most)
        for shard in shards(connection)
    )


def scalar(connection, sql, *params):
    """Return the one value of a statement; ``{shard}`` in it is that of the first id among its parameters."""
    return connection.execute(placed(connection, sql, *params), params or None).fetchone()[0]


def placed(connection, sql, *params):
    """Return a statement with the shard of the first id among these in the place of ``{shard}``."""
    if "{shard}" not in sql:
        return sql
    flat = [item for value in params for item in (value if isinstance(value, list) else [value])]
    identifier = next(item for item in flat if len(str(item)) == 36)
    return sql.replace("{shard}", f"{shard_of(connection, identifier)}::smallint")


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
        """Claim over all lanes of the queues, the shard with the best lane first."""
        lanes = []
        for shard in shards(self.connection):
            self.connection.execute("select tributary.promote(%s::smallint, 500)", (shard,))
            found = self.connection.execute(
                "select queue, priority, tenant_id, first_seq from tributary.find_lanes(%s::smallint, %s)",
                (shard, self.queues),
            ).fetchall()
            lanes += [(-row[1], row[3], shard, row) for row in found]
        lanes.sort(key=lambda lane: lane[:2])
        claimed = []
        for shard in dict.fromkeys(lane[2] for lane in lanes):
            mine = zip(*(lane[3] for lane in lanes if lane[2] == shard), strict=True)
            claimed += self.take(*map(list, mine), most - len(claimed), shard=shard)
        return sorted(claimed, key=lambda item: (item.seq, item.ordinal))

    def take(self, queues, priorities, tenants, lows, most, shard=0):
        """Claim from the given lanes of a shard."""
        rows = self.connection.execute(
            """select run_id::text, ordinal, seq, kind::text, name, step_id, queue, attempt, max_attempts,
                      payload, options, lone_crashes, tid::text
               from tributary.claim_leases(%s::smallint, %s, %s::text[], %s::smallint[], %s::text[],
                                          %s::bigint[], %s::text[], %s) order by seq, ordinal""",
            (shard, self.id, queues, priorities, tenants, lows, self.names, most),
        ).fetchall()
        return [Claimed(*found) for found in rows]

    def exchange(self, claimed, most=100, shard=0, claims=None):
        """Finish what has completed and claim in one call, over all lanes of a shard, as a worker does.

        Returns the refused tokens, what became ready by it and was handed on, and what was claimed besides.
        """
        return self.exchange_told(claimed, most, shard, claims)[:3]

    def exchange_told(self, claimed, most=100, shard=0, claims=None):
        """Do what `exchange` does; also return whether what was handed on was all that became ready."""
        lanes = self.connection.execute(
            """select coalesce(found.queue, q.name), coalesce(found.priority, q.priority),
                      coalesce(found.tenant_id, ''), coalesce(found.first_seq, 0)
               from (select name, 0 from unnest(%s::text[]) as name
                     union select '~closing', 32000) as q(name, priority)
               full join tributary.find_lanes(%s::smallint, %s) as found
                   on found.queue = q.name and found.priority = q.priority and found.tenant_id = ''
               order by 2 desc, 4""",
            (self.queues, shard, self.queues),
        ).fetchall()
        claimed = sorted(claimed, key=lambda item: (item.run_id, item.ordinal, item.seq))
        rows = self.connection.execute(
            """select how, run_id::text, ordinal, seq, kind::text, name, step_id, queue, attempt,
                      max_attempts, payload, options, lone_crashes, tid::text
               from tributary.exchange_leases(
                   %s::smallint, %s, %s::tid[], %s::uuid[], %s::int[], %s::bigint[], %s::text[],
                   %s::float8[], %s::text[], %s::text[], %s, %s::text[], %s::smallint[], %s::text[],
                   %s::bigint[], %s)
               order by seq, ordinal""",
            (
                shard,
                self.id,
                [item.tid for item in claimed],
                [item.run_id for item in claimed],
                [item.ordinal for item in claimed],
                [item.seq for item in claimed],
                ["null"] * len(claimed),
                [0.0] * len(claimed),
                self.queues,
                self.names,
                most if claims is None else claims,
                *map(list, zip(*lanes, strict=True)),
                most,
            ),
        ).fetchall()
        refused = [tuple(row[1:4]) for row in rows if row[0] == "refused"]
        handed = [Claimed(*row[1:]) for row in rows if row[0] in ("next", "some")]
        claimed = [Claimed(*row[1:]) for row in rows if row[0] == "claimed"]
        return refused, handed, claimed, not any(row[0] == "some" for row in rows)

    def finish(self, claimed, outcome="completed", *, result="null", error=None, delay=None, elapsed=0.0):
        """Write down one outcome for all rows, or one for each; return the refused tokens."""
        outcomes = [outcome] * len(claimed) if isinstance(outcome, str) else list(outcome)
        usual = set(outcomes) == {"completed"}
        if usual:
            # as a worker does: in the order of the locks, with the places where the claim has left the rows
            claimed = sorted(claimed, key=lambda item: (item.run_id, item.ordinal, item.seq))
        failed = {"type": "Failed", "message": "no"} if error is None else error
        count = len(shards(self.connection))
        refused = []
        for shard in range(count):
            at = [index for index, item in enumerate(claimed) if slot_of(item.run_id) % count == shard]
            if not at:
                continue
            mine, words = [claimed[index] for index in at], [outcomes[index] for index in at]
            refused += self.connection.execute(
                """select run_id::text, ordinal, seq
                   from tributary.finish_leases(%s::smallint, %s, %s::tid[], %s::uuid[], %s::int[],
                                                %s::bigint[], %s::text[], %s::text[], %s::text[],
                                                %s::float8[], %s::float8[], %s, %s, %s, 100)""",
                (
                    shard,
                    self.id,
                    [item.tid for item in mine] if usual else None,
                    [item.run_id for item in mine],
                    [item.ordinal for item in mine],
                    [item.seq for item in mine],
                    None if usual else words,
                    [result] * len(mine),
                    [
                        json.dumps(failed) if word in {"retry", "discarded", "aborted"} or error else None
                        for word in words
                    ],
                    [delay] * len(mine),
                    [elapsed] * len(mine),
                    any(item.kind != "intent" for item in mine),
                    self.queues,
                    self.names,
                ),
            ).fetchall()
        return refused

    def reconcile(self, held=()):
        """Tell what is held; return the lost tokens."""
        lost = []
        for shard in shards(self.connection):
            mine = [item for item in held if shard_of(self.connection, item.run_id) == shard]
            lost += self.connection.execute(
                """select run_id::text, ordinal, seq
                   from tributary.reconcile(%s::smallint, %s, %s::uuid[], %s::int[], %s::bigint[])""",
                (
                    shard,
                    self.id,
                    [item.run_id for item in mine],
                    [item.ordinal for item in mine],
                    [item.seq for item in mine],
                ),
            ).fetchall()
        return lost

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
            self.beat()
        return count


def rescue(connection):
    """Take the attempts of silent processes away; return how many."""
    return sum(
        scalar(connection, "select tributary.rescue(%s::smallint, interval '10 seconds', 500)", shard)
        for shard in shards(connection)
    )


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
        futures = [pool.submit(run, call) for call in calls]
        # who failed is not to be hidden by those who wait for what it has left undone
        ended, waiting = wait(futures, timeout, FIRST_EXCEPTION)
        for future in ended:
            future.result()
        if waiting:
            raise TimeoutError(f"{len(waiting)} of {len(calls)} calls did not end within {timeout} s")
        return [future.result() for future in futures]


def backend(connection):
    """Return the process id of the server's side."""
    return connection.info.backend_pid


def waits(observer, pid):
    """Return whether that backend waits for a lock."""
    return scalar(
        observer, "select coalesce(wait_event_type = 'Lock', false) from pg_stat_activity where pid = %s", pid
    )
