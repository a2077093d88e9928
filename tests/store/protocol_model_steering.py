"""What operators do to the model of the protocol: cancel, pause, resume, retry, requeue; and pruning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.store.protocol_model import Model, RefusedError


@dataclass
class SteeredModel(Model):
    """The model of everything."""

    def _run(self, name, *, paused):
        run = self.runs.get(name)
        if run is None:
            raise RefusedError("TR003")
        if run.state != ("paused" if paused else "running"):
            raise RefusedError("TR004")
        return run

    def cancel(self, name, reason="cancelled"):
        run = self.runs.get(name)
        if run is None:
            row = self.rows.get((name, 0))
            if row is None:
                raise RefusedError("TR003")
            if row.ended is not None:
                raise RefusedError("TR004")
            before = row.state
            self._give_up(row, "cancelled", reason)
            self.event(name, 0, None, "step_cancelled")
            return before
        if not run.at_work:
            raise RefusedError("TR004")
        before = run.state
        self._stop(run, "cancelled", "cancelled", reason)
        self.event(name, None, None, "run_cancelled")
        return before

    def pause_run(self, name):
        run = self._run(name, paused=False)
        for row in self.unended(name):
            row.held_back = True
            if row.state in ("available", "scheduled"):
                row.state, row.reason = "waiting", "paused"
        run.state = "paused"
        self.event(name, None, None, "run_paused")
        return "running"

    def resume_run(self, name):
        run = self._run(name, paused=True)
        for row in self.unended(name):
            row.held_back = False
            if row.state == "waiting" and row.reason == "paused":
                later = row.due is not None and row.due > self.now
                row.state, row.reason, row.renewed = "scheduled" if later else "available", None, True
        run.state = "running"
        self.event(name, None, None, "run_resumed")
        return "paused"

    def retry(self, name, from_steps=None):
        return self._retry(name, from_steps or None, None)

    def retry_only(self, name, steps):
        return self._retry(name, None, steps or None)

    def requeue(self, name, step=None):
        if not any(key[0] == name and self.rows[key].step_id == step for key in self.letters):
            raise RefusedError("TR003")
        return self.retry(name, None if step is None else [step])

    def _retry(self, name, from_steps, only):
        run = self.runs.get(name)
        if run is None:
            row = self.rows.get((name, 0))
            if row is None:
                raise RefusedError("TR003")
            if only or row.state not in ("discarded", "cancelled"):
                raise RefusedError("TR004")
            self._start_over([row])
            return row.state
        named = from_steps or only
        if run.at_work or (not named and run.state not in ("failed", "cancelled")):
            raise RefusedError("TR004")
        steps = self.steps(name)
        if named and not set(named) <= {row.step_id for row in steps}:
            raise RefusedError("TR003")
        again = [row for row in steps if (row.step_id in named if named else row.ended_badly)]
        for row in again:
            # grows while it is walked: what is below it
            again += [
                child
                for child in self.children(row)
                if child not in again
                and (from_steps or child.reason == "condition" or (only and child.ended_badly))
            ]
        if not again and run.closing is None:
            raise RefusedError("TR004")
        ordinals = {row.ordinal for row in again}
        above = {need for row in again for need in row.needs} - ordinals
        if named and any(self.rows[name, need].ended_badly for need in above):
            raise RefusedError("TR004")

        self._start_over(again)
        run.state, run.ended, run.reason, run.ending = "running", None, None, None
        run.phase, run.remaining = "steps" if again else "closing", len(again)
        run.failed = sum(row.ended_badly and row.reason != "upstream" for row in steps)
        run.warnings = sum(
            row.state == "discarded" and row.tolerated and row.reason != "aborted" for row in steps
        )
        if (closing := run.closing) is not None:
            self._reset(closing, int(bool(again)))
            # that of a closing step is where its needs' failures would be noted: it has none
        self.event(name, None, None, "run_retried")
        return "running"

    def _start_over(self, rows):
        ordinals = {row.ordinal for row in rows}
        for row in rows:
            if row.state == "completed":
                self.progress.discard(row.key)
            self._reset(row, len(ordinals & set(row.needs)))
            row.need_failed = False
            row.due = None
            self.letters.pop(row.key, None)
            self.event(*row.key, row.attempt, "step_requeued")

    def _reset(self, row, unmet):
        row.state, row.reason, row.unmet = "blocked" if unmet else "available", None, unmet
        row.base, row.crashes, row.lone, row.held_back = row.attempt, 0, None, False
        row.ended, row.process, row.started, row.renewed = None, None, False, True

    def prune(self, keep, keep_letters=None):
        """Remove what ended more than ``keep`` seconds ago; return how many runs and intents."""
        old = self.now - keep
        kept = {
            run for (run, _), letter in self.letters.items()
            if keep_letters is None or letter[2] > self.now - keep_letters
        }  # fmt: skip
        intents = [
            row.run for row in self.rows.values()
            if row.kind == "intent" and row.ended is not None and row.ended < old and row.run not in kept
        ]  # fmt: skip
        runs = [
            run.id for run in self.runs.values()
            if run.ended is not None and run.ended < old and run.id not in kept
        ]  # fmt: skip
        self._forget({*runs, *intents})
        return len(runs), len(intents)

    def _forget(self, gone):
        self.runs = {name: run for name, run in self.runs.items() if name not in gone}
        for table in (self.rows, self.letters):
            for key in [key for key in table if key[0] in gone]:
                del table[key]
        self.progress = {key for key in self.progress if key[0] not in gone}
        self.attempts = Counter({key: n for key, n in self.attempts.items() if key[0] not in gone})
        self.events = Counter({key: n for key, n in self.events.items() if key[0] not in gone})
