"""A state machine that calls the protocol in any order, on the tables and on the model, and compares both."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.store import protocol_kit as kit
from tests.store import protocol_tables as tables
from tests.store.protocol_model import RefusedError
from tests.store.protocol_model_steering import SteeredModel
from tests.store.prune_kit import sweep
from tributary_daemon.store import pruning

SECOND = "t.second.v1"
NAMES = (kit.NAME, SECOND, kit.CLOSING)
OUTCOMES = (
    *("completed", "completed", "cached", "skipped", "retry", "discarded", "aborted", "snoozed"),
    *("cache_wait", "released"),
)
CRASHES = ("crashed", "suspected", "crashed_alone")
PUBLIC = ("completed", "retry", "discarded", "snoozed", "released")
STEPS = ("s0", "s1", "s2", "s3")
numbers = st.integers(0, 7)
delays = st.sampled_from([0.0, 20.0])


@st.composite
def workflows(draw):
    size = draw(st.integers(1, 6))
    steps = {}
    for number in range(size):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        steps[f"s{number}"] = {
            "needs": tuple(f"s{need}" for need in sorted(needs)),
            "continue_on_error": draw(st.booleans()),
            "run_after": draw(st.sampled_from([None, None, 30.0])),
            "options": {
                "max_attempts": draw(st.sampled_from([1, 2, 3])),
                "priority": draw(st.integers(0, 1)),
            },
            "name": draw(st.sampled_from([kit.NAME, kit.NAME, SECOND])),
        }
    return kit.workflow("w.v1", steps, result=draw(st.sampled_from([None, 1])), fail_fast=draw(st.booleans()))


def token(claimed):
    """The key and the token of a claimed row, as the model has them."""
    return (claimed.run_id, claimed.ordinal), claimed.seq


class ProtocolMachine(RuleBasedStateMachine):
    """Two processes, runs and intents, and every token that was ever handed out."""

    connection: psycopg.Connection

    @initialize(specs=st.lists(workflows(), min_size=1, max_size=2), most=st.integers(1, 3))
    def begin(self, specs, most):
        self.broken = False
        tables.forget(self.connection)
        self.connection.execute("delete from tributary.processes")
        self.model = SteeredModel()
        tables.set_clock(self.connection, 0)
        self.processes = [kit.Process(self.connection, names=NAMES) for _ in range(2)]
        for process in self.processes:
            self.model.register(process.id)
        self.held = {process.id: [] for process in self.processes}
        self.ever = []
        self.work = []
        self.submit(most, 0)
        for spec in specs:
            self.submit_run(spec)

    @invariant()
    def tables_are_as_the_model_says(self):
        self.agree()

    def agree(self):
        self.broken = True
        tables.compare(self.connection, self.model)
        kit.check_invariants(self.connection)
        self.broken = False

    def call(self, function, *args):
        """Call a public function that may be refused, here and there."""
        asked = f"select tributary.{function}({', '.join(['%s'] * len(args))})"
        try:
            answer = kit.scalar(self.connection, asked, *args)
        except psycopg.Error as error:
            with pytest.raises(RefusedError) as refused:
                getattr(self.model, function)(*args)
            assert error.sqlstate == refused.value.code, error  # noqa: PT017 - as the model is refused
        else:
            assert answer == getattr(self.model, function)(*args)

    # submitting

    @precondition(lambda self: len(self.work) < 5)
    @rule(most=st.integers(1, 3), priority=st.integers(0, 1))
    def submit(self, most, priority):
        run = kit.intent(self.connection, max_attempts=most, priority=priority)
        self.model.submit(run, max_attempts=most, priority=priority)
        self.work.append(run)

    @precondition(lambda self: len(self.work) < 5)
    @rule(spec=workflows())
    def submit_run(self, spec):
        run = kit.start(self.connection, spec)
        self.model.submit_run(run, spec)
        self.work.append(run)

    # working

    def may_claim(self):
        return any(row.state in ("available", "scheduled") for row in self.model.rows.values())

    def _claim(self, number, most):
        self.take(self.processes[number % 2], most)

    # what most histories are made of is drawn more often
    claim = precondition(may_claim)(rule(number=numbers, most=st.integers(1, 6))(_claim))
    claim_more = precondition(may_claim)(rule(number=numbers, most=st.integers(1, 6))(_claim))

    def take(self, process, most):
        kit.everywhere(self.connection, "promote", 500)
        self.model.promote()
        self.agree()
        ready = self.model.ready(process.id)[:most]
        claimed = process.claim(most)
        got = [self.model.rows[item.run_id, item.ordinal] for item in claimed]
        assert sorted((-row.priority, row.seq) for row in got) == [(-row.priority, row.seq) for row in ready]
        self.model.claim(process.id, [row.key for row in got])
        told = [(item.seq, item.attempt, item.lone_crashes) for item in claimed]
        assert told == [(row.seq, row.attempt, row.lone) for row in got]
        self.held[process.id] += claimed
        self.ever += claimed

    def _finish(self, number, count, outcome, delay):
        holding = [process for process in self.processes if self.held[process.id]]
        process = holding[number % len(holding)]
        held = self.held[process.id]
        outcomes = [outcome if n % 2 == 0 else "completed" for n in range(len(held[:count]))]
        self.write(process, held[:count], outcomes, delay)
        del held[:count]

    def may_finish(self):
        return any(self.held.values())

    _how = rule(
        number=numbers, count=st.integers(1, 4), outcome=st.sampled_from(OUTCOMES + CRASHES), delay=delays
    )
    finish = precondition(may_finish)(_how(_finish))
    finish_more = precondition(may_finish)(_how(_finish))
    finish_again = precondition(may_finish)(_how(_finish))

    def write(self, process, items, outcomes, delay):
        if not items:
            return
        refused = process.finish(items, outcomes, delay=delay)
        expected = self.model.finish([token(item) for item in items], outcomes, delay)
        assert sorted(refused) == sorted((*key, seq) for key, seq in expected)

    @precondition(lambda self: self.ever)
    @rule(number=numbers, which=numbers, outcome=st.sampled_from(OUTCOMES + CRASHES), delay=delays)
    def finish_any(self, number, which, outcome, delay):
        """Whatever was ever handed out comes back, mostly by one who has it no more."""
        self.write(self.processes[number % 2], [self.ever[-1 - which % len(self.ever)]], [outcome], delay)

    def intents(self):
        return [item for item in self.ever if item.kind == "intent"]

    def an_intent(self, which):
        return self.intents()[-1 - which % len(self.intents())]

    @precondition(lambda self: self.intents())
    @rule(which=numbers, outcome=st.sampled_from(PUBLIC), delay=delays)
    def finish_in_public(self, which, outcome, delay):
        item = self.an_intent(which)
        stands = kit.scalar(
            self.connection,
            "select tributary.finish(%s, %s, %s, %s, delay => make_interval(secs => %s))",
            *(self.processes[0].id, item.run_id, item.seq, outcome, delay),
        )
        assert stands == (self.model.finish([token(item)], [outcome], delay) == [])

    @precondition(lambda self: self.ever)
    @rule(which=numbers, what=st.sampled_from(["release", "start", "heartbeat", "save_progress"]))
    def tell(self, which, what):
        """What a process says of an attempt while it is at it, or believes so."""
        if what in ("start", "save_progress"):
            getattr(self, what)(self.ever[-1 - which % len(self.ever)])
        elif self.intents():
            getattr(self, what)(self.an_intent(which), details='{"n": 1}' if which % 2 else None)

    def release(self, item, **_):
        asked = "select tributary.release(%s, %s, %s)"
        stands = kit.scalar(self.connection, asked, self.processes[0].id, item.run_id, item.seq)
        assert stands == (self.model.finish([token(item)], ["released"]) == [])

    def start(self, item):
        marked = self.connection.execute(
            "select run_id::text, ordinal, seq from tributary.mark_started(0::smallint, %s::uuid[], %s, %s)",
            ([item.run_id], [item.ordinal], [item.seq]),
        ).fetchall()
        assert marked == [(*key, seq) for key, seq in self.model.start([token(item)])]

    def heartbeat(self, item, details):
        process = self.processes[0]
        asked = "select tributary.heartbeat(%s, %s, %s, %s::jsonb)"
        stands = kit.scalar(self.connection, asked, process.id, item.run_id, item.seq, details)
        self.model.beat(process.id)
        row = self.model.rows.get((item.run_id, 0))
        assert stands == (row is not None and row.stands(item.seq))
        if details:
            assert stands == self.model.save_progress(*token(item))

    def save_progress(self, item):
        asked = "select tributary.save_progress({shard}, %s, %s, %s, '{}')"
        stands = kit.scalar(self.connection, asked, item.run_id, item.ordinal, item.seq)
        assert stands == self.model.save_progress(*token(item))

    @rule(number=numbers, what=st.sampled_from(["fall_silent", "beat", "rescue", "advance", "advance"]))
    def time_goes_by(self, number, what):
        getattr(self, what)(self.processes[number % 2])

    def fall_silent(self, process):
        process.fall_silent()
        self.model.beats[process.id] -= 60

    def beat(self, process):
        process.beat()
        self.model.beat(process.id)

    def rescue(self, _):
        assert kit.rescue(self.connection) == self.model.rescue()

    def advance(self, *_):
        self.model.now += 25
        tables.set_clock(self.connection, self.model.now)
        # supervisors beat for those who work, whatever these do
        for process in self.processes:
            self.beat(process)

    @precondition(may_finish)
    @rule(number=numbers, count=st.integers(0, 2))
    def reconcile(self, number, count):
        """A process has never heard of some that it was given."""
        process = self.processes[number % 2]
        kept = self.held[process.id][count:]
        lost = process.reconcile(kept)
        assert lost == [
            (*key, seq) for key, seq in self.model.reconcile(process.id, [token(i) for i in kept])
        ]
        self.held[process.id] = [i for i in kept if (i.run_id, i.ordinal, i.seq) not in lost]

    # steering

    @precondition(lambda self: self.work)
    @rule(which=numbers, function=st.sampled_from(["cancel", "pause_run", "resume_run", "retry", "requeue"]))
    def steer(self, which, function):
        self.call(function, self.work[which % len(self.work)])

    @precondition(lambda self: self.model.runs)
    @rule(which=numbers, step=st.sampled_from(STEPS), function=st.sampled_from(["retry", "retry_only"]))
    def retry_steps(self, which, step, function):
        runs = list(self.model.runs)
        self.call(function, runs[which % len(runs)], [step])

    @precondition(lambda self: self.model.letters)
    @rule(which=numbers)
    def requeue(self, which):
        """A dead letter, whatever its run does."""
        key = list(self.model.letters)[which % len(self.model.letters)]
        self.call("requeue", key[0], self.model.rows[key].step_id)

    @rule(keep=st.sampled_from([0, 30]), keep_letters=st.sampled_from([None, 0, 30]))
    def prune(self, keep, keep_letters):
        swept = sweep(self.connection, pruning.Retention(keep=keep, keep_letters=keep_letters))
        assert (swept.runs, swept.intents) == self.model.prune(keep, keep_letters)

    def teardown(self):
        if not self.broken:
            self.come_to_an_end()

    def come_to_an_end(self):
        """Whatever was done before: all work ends once processes do theirs."""
        for number in range(60):
            for run in [run for run in self.model.runs.values() if run.state == "paused"]:
                self.call("resume_run", run.id)
            for process in self.processes:
                self.held[process.id].clear()
                assert process.reconcile() == self.model.reconcile(process.id, [])
            self.agree()
            if all(row.ended is not None for row in self.model.rows.values()):
                break
            self.advance()
            process = self.processes[number % 2]
            self.take(process, 100)
            self.write(process, self.held[process.id], ["completed"] * len(self.held[process.id]), None)
        else:
            pytest.fail("work was left over")
        assert {run.state for run in self.model.runs.values()} <= {"completed", "failed", "cancelled"}
