"""The protocol as a pure model: what each call answers and what becomes of every row. It knows no database.

Time is counted in seconds. A token is the seq that the tables gave a row; the model only says when it is
renewed.
Left to tests of their own: hooks, limits, groups, fan-outs, child runs, unknown handlers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

LEASE = 10.0
ENDED = frozenset({"completed", "skipped", "cancelled", "discarded"})
CLOSING_PRIORITY = 32000


class RefusedError(Exception):
    """The call is refused with this SQLSTATE."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class Row:
    """A step, an intent (ordinal 0, no step id) or a closing step."""

    run: str
    ordinal: int
    kind: str
    step_id: str | None = None
    needs: tuple[int, ...] = ()
    tolerated: bool = False
    run_after: float | None = None
    max_attempts: int = 3
    priority: int = 0
    state: str = "available"
    reason: str | None = None
    attempt: int = 0
    base: int = 0
    crashes: int = 0
    lone: int | None = None
    unmet: int = 0
    need_failed: bool = False
    held_back: bool = False
    started: bool = False
    due: float | None = None
    ended: float | None = None
    process: int | None = None
    seq: int = 0
    renewed: bool = True

    @property
    def key(self):
        return self.run, self.ordinal

    @property
    def ended_badly(self):
        return (
            self.state == "cancelled"
            or (self.state == "discarded" and (not self.tolerated or self.reason == "aborted"))
            or (self.state == "skipped" and self.reason != "condition")
        )

    def stands(self, token):
        """Whether a token is that of the attempt that runs."""
        return self.state == "running" and not self.renewed and self.seq == token

    def end(self, state, reason, now):
        self.state, self.reason, self.ended, self.process = state, reason, now, None


@dataclass(slots=True)
class Run:
    """A run of a workflow without hooks and limits."""

    id: str
    closing: Row | None
    fail_fast: bool
    remaining: int
    state: str = "running"
    phase: str = "steps"
    ending: str | None = None
    failed: int = 0
    warnings: int = 0
    reason: str | None = None
    ended: float | None = None

    @property
    def at_work(self):
        return self.state in ("running", "paused")

    @property
    def special(self):
        """Whether more than a count decides about its end."""
        return self.fail_fast or self.ending is not None


@dataclass
class Model:
    """All that the tables hold."""

    now: float = 0.0
    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    letters: dict[tuple[str, int], tuple[int, str, float]] = field(default_factory=dict)
    attempts: Counter = field(default_factory=Counter)
    events: Counter = field(default_factory=Counter)
    progress: set[tuple[str, int]] = field(default_factory=set)
    beats: dict[int, float] = field(default_factory=dict)

    def of(self, run):
        return [row for row in self.rows.values() if row.run == run]

    def steps(self, run):
        return [row for row in self.of(run) if row.kind == "step"]

    def unended(self, run):
        return [row for row in self.of(run) if row.ended is None]

    def children(self, row):
        return [child for child in self.steps(row.run) if row.ordinal in child.needs]

    def event(self, run, ordinal, attempt, what):
        self.events[run, ordinal, attempt, what] += 1

    # submitting

    def submit(self, run, *, max_attempts=3, priority=0):
        self.rows[run, 0] = Row(run, 0, "intent", max_attempts=max_attempts, priority=priority)

    def submit_run(self, run, spec):
        """Record a run of a workflow of the kit."""
        ordinals = {step.id: step.ordinal for step in spec.steps}
        for step in spec.steps:
            options = {"max_attempts": 3, "priority": 0, **(step.options or {})}
            row = Row(
                run, step.ordinal, "step", step.id, tuple(ordinals[need] for need in step.needs),
                step.continue_on_error, step.run_after, options["max_attempts"], options["priority"],
                unmet=len(step.needs),
            )  # fmt: skip
            if row.unmet:
                row.state = "blocked"
            elif row.run_after is not None:
                row.due = self.now + row.run_after
                row.state = "scheduled" if row.run_after > 0 else "available"
            self.rows[row.key] = row
        closing = None
        if spec.result is not None:
            closing = Row(
                run, len(spec.steps) + 1, "closing", priority=CLOSING_PRIORITY, state="blocked", unmet=1
            )
            self.rows[closing.key] = closing
        self.runs[run] = Run(run, closing, spec.fail_fast, len(spec.steps))

    # claims and beats

    def register(self, process):
        self.beats[process] = self.now

    def lives(self, process):
        return process in self.beats and abs(self.beats[process] - self.now) <= LEASE

    def beat(self, process):
        self.beats[process] = self.now

    def promote(self):
        for row in self.rows.values():
            if row.state == "scheduled" and row.due <= self.now:
                row.state, row.renewed = "available", True

    def ready(self, process):
        """What a claim of this process finds, in its order; the model of promote goes before."""
        found = [row for row in self.rows.values() if row.state == "available"] if self.lives(process) else []
        return sorted(found, key=lambda row: (-row.priority, row.seq))

    def claim(self, process, keys):
        for key in keys:
            row = self.rows[key]
            assert row.state == "available", row
            row.state, row.reason, row.process, row.started = "running", None, process, False
            row.attempt += 1

    def start(self, tokens):
        """Record the start of attempts; return the tokens that stand."""
        stand = [(key, token) for key, token in tokens if key in self.rows and self.rows[key].stands(token)]
        for key, _ in stand:
            self.rows[key].started = True
        return stand

    def save_progress(self, key, token):
        if key not in self.rows or not self.rows[key].stands(token):
            return False
        self.progress.add(key)
        return True

    # outcomes

    def finish(self, tokens, outcomes, delay=None):
        """Write down outcomes; return the refused tokens."""
        standing, refused = [], []
        for (key, token), outcome in zip(tokens, outcomes, strict=True):
            row = self.rows.get(key)
            if row is None or not row.stands(token) or any(row is other for other, _ in standing):
                refused.append((key, token))
            else:
                standing.append((row, outcome))
        ends = []
        for row, outcome in sorted(standing, key=lambda item: item[1] != "completed"):
            ends.append((row, self._attempt(row, outcome, delay)))
        self._settle_ended([(row, how) for row, how in ends if how >= 0 and row.kind != "intent"])
        for run in {row.run for row, outcome in standing if outcome == "aborted" and row.kind != "intent"}:
            if self.runs[run].ending is None:
                self._stop(self.runs[run], "failed", "skipped", "aborted")
        return refused

    def _attempt(self, row, outcome, delay):
        """Decide about an attempt; return -1 where the row has not ended, or 0 well, 1 tolerated, 2 badly."""
        used = row.attempt - row.base - row.crashes
        lone, reason = row.lone, None
        crash = outcome in ("crashed", "suspected", "crashed_alone")
        if row.max_attempts == 1 and outcome in ("released", "crashed", "suspected"):
            outcome, reason = ("discarded", "interrupted") if row.started else ("released", None)
        elif crash and outcome != "crashed_alone" and lone is not None and not row.started:
            outcome = "released"
        elif crash:
            reason = "crashed"
            if outcome == "crashed_alone" or lone is not None:
                lone = (lone or 0) + 1
            elif outcome == "suspected" or row.crashes > 0:
                lone = 0
            proven = lone is not None and lone >= 3
            outcome = "discarded" if proven or row.max_attempts == 1 else "crashed"
        elif outcome == "retry" and used >= row.max_attempts:
            outcome, reason = "discarded", "exhausted"

        attempt = row.attempt
        if outcome in ("retry", "crashed", "discarded", "aborted"):
            self.attempts[*row.key, attempt, outcome] += 1
        if outcome not in ("completed", "cache_wait"):
            self.event(*row.key, attempt, f"step_{outcome}")
        row.process = None
        if outcome in ("completed", "cached", "skipped"):
            why = {"skipped": "condition", "cached": "cached"}.get(outcome)
            row.end("skipped" if outcome == "skipped" else "completed", why, self.now)
            return 0
        if outcome in ("discarded", "aborted"):
            row.end("discarded", reason or outcome, self.now)
            row.crashes += crash
            row.lone = lone
            tolerated = row.tolerated and outcome != "aborted"
            if row.kind != "closing" and not tolerated:
                self.letters[row.key] = (attempt, row.reason, self.now)
            return 1 if tolerated else 2
        later = delay is not None and delay > 0
        row.state = "waiting" if row.held_back else "scheduled" if later else "available"
        row.reason = "paused" if row.held_back else None if outcome == "released" else outcome
        row.due = self.now + delay if later else row.due
        row.attempt -= outcome in ("snoozed", "cache_wait", "released")
        row.crashes += outcome == "crashed"
        row.lone, row.started, row.renewed = lone, False, True
        return -1

    def rescue(self):
        """Take the attempts of silent processes away; return how many."""
        dead = [row for row in self.rows.values() if row.state == "running" and not self.lives(row.process)]
        self.finish([(row.key, row.seq) for row in dead], ["crashed"] * len(dead))
        return len(dead)

    def reconcile(self, process, held):
        """Release what a process owns without holding it; return which of the held tokens are lost."""
        unknown = [
            (row.key, row.seq)
            for row in self.rows.values()
            if row.state == "running" and row.process == process and (row.key, row.seq) not in held
        ]
        self.finish(unknown, ["released"] * len(unknown))
        return [
            (key, token) for key, token in held if key not in self.rows or not self.rows[key].stands(token)
        ]

    # what follows from the end of a step

    def _settle_ended(self, ends):
        for row, how in ends:
            if row.kind == "closing":
                self._end_closing(self.runs[row.run], how)
        ended = [(row, how) for row, how in ends if row.kind == "step"]
        wave = ended
        while wave:
            hit: dict[tuple[str, int], list[int]] = {}
            for row, how in wave:
                for child in self.children(row):
                    if child.state == "blocked":
                        hit.setdefault(child.key, []).append(how)
            wave = []
            for key, hows in hit.items():
                child = self.rows[key]
                self._decide(child, len(hows), any(how >= 2 for how in hows))
                if child.state == "skipped":
                    wave.append((child, 3))
            ended += wave
        self._count(ended)

    def _decide(self, row, count, bad):
        row.need_failed |= bad
        if row.run_after is not None and row.unmet == count:
            row.due = self.now + row.run_after
        row.unmet -= count
        if row.unmet:
            return
        if row.need_failed:
            row.end("skipped", "upstream", self.now)
        elif row.held_back:
            row.state, row.reason = "waiting", "paused"
        elif row.due is not None and row.due > self.now:
            row.state = "scheduled"
        else:
            row.state, row.renewed = "available", True

    def _count(self, ended):
        for run in [self.runs[name] for name in dict.fromkeys(row.run for row, _ in ended)]:
            if not run.at_work:
                continue
            hows = [how for row, how in ended if row.run == run.id]
            run.remaining -= len(hows)
            run.failed += hows.count(2)
            run.warnings += hows.count(1)
            if run.special and run.remaining == 0:
                self._advance(run)
            elif run.special and run.ending is None and 2 in hows:
                self._stop(run, "failed", "cancelled", "fail_fast")
            elif not run.special and run.remaining == 0:
                if run.failed or run.closing is None:
                    run.state, run.ended = "failed" if run.failed else "completed", self.now
                else:
                    run.phase = "closing"
                if run.closing is not None:
                    self._release_closing(run)

    def _release_closing(self, run):
        if run.closing.state != "blocked":
            return
        run.closing.unmet = 0
        run.closing.renewed = True
        if run.state == "failed":
            run.closing.end("skipped", "upstream", self.now)
        else:
            run.closing.state = "available"

    def _end_closing(self, run, how):
        if not run.at_work:
            return
        run.reason = "result" if how else None
        if run.special:
            run.ending = "failed" if how else "completed"
            self._advance(run)
        else:
            run.state, run.ended, run.phase = "failed" if how else "completed", self.now, "steps"

    def _advance(self, run):
        if not run.at_work or run.remaining:
            return
        if run.phase == "steps" and run.ending is None and not run.failed and run.closing is not None:
            run.phase = "closing"
            self._release_closing(run)
            return
        for row in self.of(run.id):
            if row.state == "blocked":
                row.end("skipped", "upstream" if row.kind == "closing" else "hook", self.now)
        run.state = run.ending or ("failed" if run.failed else "completed")
        run.ending, run.phase, run.ended = None, "steps", self.now

    def _stop(self, run, ending, state, reason):
        if not run.at_work and run.ended != self.now:
            return
        for row in self.unended(run.id):
            self._give_up(row, state, reason)
        run.remaining, run.ending, run.reason, run.ended = 0, ending, reason, None
        run.state, run.phase = "running", "steps"
        run.failed = max(run.failed, int(ending == "failed"))
        self._advance(run)

    def _give_up(self, row, state, reason):
        if row.state == "running":
            self.attempts[*row.key, row.attempt, "cancelled"] += 1
            state = "cancelled"
        row.end(state, reason, self.now)
