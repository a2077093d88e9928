"""Two callers at one step: the first in an open transaction, the second beside it, watched while it waits."""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass, field, replace

import psycopg

from tests.store import protocol_kit as kit
from tests.store import protocol_tables as tables
from tests.store.protocol_model import RefusedError
from tests.store.protocol_model_steering import SteeredModel
from tests.store.prune_kit import sweep
from tributary_daemon.store import pruning

SPEC = kit.workflow("w.three.v1", {"before": (), "step": ("before",), "after": ("step",)})
DELAY = 20.0
OLD = 50.0
FINISHES = {
    "finish": "completed", "fail": "discarded", "retry": "retry", "snooze": "snoozed", "release": "released"
}  # fmt: skip
CALLS = (
    *("claim", "finish", "fail", "retry", "snooze", "heartbeat", "release"),
    *("rescue", "cancel", "requeue", "prune"),
)


class Caller:
    """A connection that makes the calls: as the process that holds the step, as another, as an operator."""

    def __init__(self, connection):
        self.connection = connection
        self.pid = kit.backend(connection)
        self.claimer = kit.Process(connection)
        self.holder = kit.Process(connection)


@dataclass
class Scene:
    """A step, the token that its holder has or once had, and the model of all."""

    kind: str
    callers: tuple[Caller, Caller]
    model: SteeredModel = field(default_factory=SteeredModel)
    run: str = ""
    token: kit.Claimed | None = None

    @property
    def key(self):
        return self.run, 0 if self.kind == "intent" else 2

    def set(self, stage):
        """Bring the step to where the calls meet it; whoever held it is silent."""
        first, second = self.callers
        tables.forget(first.connection)
        self._set_clocks(0.0)
        self._enter()
        second.holder.id = first.holder.id
        (self.token,) = first.holder.claim()
        self.model.claim(first.holder.id, [self.key])
        first.holder.fall_silent()
        self.model.beats[first.holder.id] -= 60
        if stage == "available":
            assert kit.rescue(first.connection) == self.model.rescue() == 1
        elif stage == "discarded":
            assert first.holder.finish([self.token], "discarded") == []
            self.model.finish([(self.key, self.token.seq)], ["discarded"])
            self._set_clocks(100.0)
        tables.adopt(first.connection, self.model)

    def _set_clocks(self, now):
        self.model.now = now
        for caller in self.callers:
            tables.set_clock(caller.connection, now)
        for process in {p.id: p for c in self.callers for p in (c.claimer, c.holder)}.values():
            process.beat()
            self.model.beat(process.id)

    def _enter(self):
        connection, process = self.callers[0].connection, self.callers[0].holder
        if self.kind == "intent":
            self.run = kit.intent(connection)
            self.model.submit(self.run)
        else:
            self.run = kit.start(connection, SPEC)
            self.model.submit_run(self.run, SPEC)
            tables.adopt(connection, self.model)
            assert process.finish(process.claim()) == []
            self.model.claim(process.id, [(self.run, 1)])
            self.model.finish([((self.run, 1), self.model.rows[self.run, 1].seq)], ["completed"])
        tables.adopt(connection, self.model)

    def call(self, caller, what):
        """Make a call; return its answer, or the code of its refusal."""
        try:
            return self._end(caller, what) if what in FINISHES else getattr(self, f"_{what}")(caller)
        except psycopg.Error as error:
            if error.sqlstate not in {"TR003", "TR004"}:
                raise
            return error.sqlstate

    def expect(self, caller, what):
        """Do the same to the model."""
        try:
            return self._expect_end(what) if what in FINISHES else getattr(self, f"_expect_{what}")(caller)
        except RefusedError as refused:
            return refused.code

    def expect_apart(self, caller, what):
        """What a call is told whose transaction is rolled back: the model stays as it is."""
        return replace(self, model=deepcopy(self.model)).expect(caller, what)

    def expect_way(self, caller, what, way, before=None):
        """Do to the model what a call does that skips what is locked, or has decided ``before`` it waited."""
        if way == "s":
            return {"claim": [], "prune": (0, 0)}[what]
        if way == "d" and before is not None and what == "rescue":
            self.model.beats = before.beats
        elif way == "d" and before is not None and what == "requeue":
            # its dead letter was there; what it then meets refuses it
            letters, self.model.letters = self.model.letters, before.letters
            answer = self.expect(caller, what)
            self.model.letters = letters
            return answer
        return self.expect(caller, what)

    def _claim(self, caller):
        if self.kind != "intent":
            return [(item.run_id, item.ordinal) for item in caller.claimer.claim()]
        asked = "select run_id::text, 0 from tributary.claim(%s, '{default}', %s, 10)"
        return caller.connection.execute(asked, (caller.claimer.id, [kit.NAME])).fetchall()

    def _expect_claim(self, caller):
        self.model.promote()
        keys = [row.key for row in self.model.ready(caller.claimer.id)]
        self.model.claim(caller.claimer.id, keys)
        return keys

    def _end(self, caller, what):
        """Of an intent by the public function, of a step as workers do; return whether the token stood."""
        outcome = FINISHES[what]
        if self.kind != "intent":
            return caller.holder.finish([self.token], outcome, delay=self._delay(what)) == []
        if what == "release":
            asked, more = "select tributary.release(%s, %s, %s)", ()
        else:
            asked = "select tributary.finish(%s, %s, %s, %s, delay => make_interval(secs => %s))"
            more = (outcome, self._delay(what))
        return kit.scalar(caller.connection, asked, caller.holder.id, self.run, self.token.seq, *more)

    def _delay(self, what):
        return DELAY if what in ("retry", "snooze") else 0.0

    def _expect_end(self, what):
        return self.model.finish([(self.key, self.token.seq)], [FINISHES[what]], self._delay(what)) == []

    def _heartbeat(self, caller):
        if self.kind == "intent":
            asked = "select tributary.heartbeat(%s, %s, %s, '{}')"
            return kit.scalar(caller.connection, asked, caller.holder.id, self.run, self.token.seq)
        caller.holder.beat()
        asked = "select tributary.save_progress({shard}, %s, %s, %s, '{}')"
        return kit.scalar(caller.connection, asked, self.run, self.token.ordinal, self.token.seq)

    def _expect_heartbeat(self, caller):
        self.model.beat(caller.holder.id)
        return self.model.save_progress(self.key, self.token.seq)

    def _rescue(self, caller):
        return kit.rescue(caller.connection)

    def _expect_rescue(self, _):
        return self.model.rescue()

    def _cancel(self, caller):
        return kit.scalar(caller.connection, "select tributary.cancel(%s)", self.run)

    def _expect_cancel(self, _):
        return self.model.cancel(self.run)

    def _requeue(self, caller):
        return kit.scalar(caller.connection, "select tributary.requeue(%s, %s)", self.run, self.token.step_id)

    def _expect_requeue(self, _):
        return self.model.requeue(self.run, self.token.step_id)

    def _prune(self, caller):
        swept = sweep(caller.connection, pruning.Retention(keep=OLD, keep_letters=OLD))
        return swept.runs, swept.intents

    def _expect_prune(self, _):
        return self.model.prune(OLD, OLD)


def watch(observer, future, caller, blocker):
    """Return whether a call waits for a lock of the other caller; false once it has its answer."""
    asked = """select wait_event_type = 'Lock' and %s = any (pg_blocking_pids(pid))
               from pg_stat_activity where pid = %s"""
    deadline = time.monotonic() + 60
    while not future.done():
        if kit.scalar(observer, asked, blocker.pid, caller.pid):
            return True
        assert time.monotonic() < deadline, "it neither waits for the other one nor comes to an end"
        time.sleep(0.001)
    return False
