"""The checker: what a history must show, whatever happened. Pure: a history in, violations out.

Three witnesses that know nothing of each other are compared: what producers were told, what handlers noted
while they ran, and what the database holds, with the changes of state that a trigger noted on the way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from chaos.history import RUN, Change, Execution, History, Key, Row
from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED, STEP_TRANSITIONS, StepState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FAN = "trib.fan.v1"
_ENDED = frozenset(state.value for state in STEP_ENDED)
_RUN_ENDED = frozenset(state.value for state in RUN_ENDED)
_OWN_FAULTS = frozenset(
    {"invalid_payload", "invalid_result", "unserialisable_result", "handler_error", "not_importable"}
)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be.

    Attributes:
        rule: which promise it breaks.
        message: what is wrong.
        key: of the step concerned, or the run (ordinal -1); None where none is.
    """

    rule: str
    message: str
    key: Key | None = None


class _View:
    """A history, sorted by steps."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.rows = {row.key: row for row in history.rows}
        self.runs = {run.run_id: run for run in history.runs}
        self.changes: dict[Key, list[Change]] = defaultdict(list)
        for change in sorted(history.changes, key=lambda change: change.number):
            self.changes[change.key].append(change)
        self.executions: dict[Key, list[Execution]] = defaultdict(list)
        for execution in history.executions:
            self.executions[execution.key].append(execution)
        # an explicit retry may end the end of what it names
        self.retried = {act.id for act in history.acts if act.what == "retry" and act.fate != "refused"}
        self.by_name = {execution.x: execution for execution in history.executions}
        self.claims = {
            key: [change for change in changes if change.after == "running" and change.before != "running"]
            for key, changes in self.changes.items()
        }

    def ended_at(self, key: Key) -> int | None:
        """Return the number of the change that ended a step."""
        return next((change.number for change in self.changes[key] if change.after in _ENDED), None)


def check(history: History) -> list[Violation]:
    """Return all violations of a history."""
    view = _View(history)
    found: list[Violation] = []
    for rule in _RULES:
        found.extend(rule(view))
    return found


def _nothing_lost(view: _View) -> Iterator[Violation]:
    ids = {row.run_id for row in view.history.rows if row.kind == "intent"} | set(view.runs)
    keys: Counter[str] = Counter(row.idempotency_key for row in view.history.rows if row.idempotency_key)
    keys.update(run.idempotency_key for run in view.history.runs if run.idempotency_key)
    for sent in view.history.submissions:
        if sent.fate == "acknowledged" and sent.id not in ids:
            yield Violation(
                "lost",
                f"submission {sent.number} ({sent.name}) was acknowledged as {sent.id}, and is not there",
            )
        if sent.fate == "rolled_back" and sent.id in ids:
            yield Violation(
                "lost",
                f"submission {sent.number} ({sent.name}) was rolled back, and is there",
                (sent.id or "", 0),
            )
        if sent.key is not None and keys[sent.key] != 1:
            yield Violation(
                "lost", f"key {sent.key} of submission {sent.number} belongs to {keys[sent.key]} works"
            )


def _all_ended(view: _View) -> Iterator[Violation]:
    for row in view.history.rows:
        if row.state == "running":
            yield Violation("unfinished", "a row is left running", row.key)
        elif row.state not in _ENDED:
            yield Violation("unfinished", f"it is still {row.state} ({row.reason})", row.key)
    for run in view.history.runs:
        if run.state not in _RUN_ENDED:
            yield Violation(
                "unfinished",
                f"run {run.name} is still {run.state}, {run.remaining} steps remain",
                (run.run_id, RUN),
            )


def _newest_lease_only(view: _View) -> Iterator[Violation]:
    for row in view.history.rows:
        if row.state != "completed" or not row.name.startswith("chaos."):
            continue
        claims = view.claims.get(row.key, [])
        if not claims:
            yield Violation("stale", "it is completed, and nobody has claimed it", row.key)
            continue
        accepted = view.by_name.get(row.x or "")
        if accepted is None or accepted.key != row.key:
            yield Violation("stale", f"its result is of {row.x}, which no handler has noted for it", row.key)
        elif accepted.token != claims[-1].seq or accepted.token != row.seq:
            yield Violation(
                "stale",
                f"the result of {accepted.x} was accepted under token {accepted.token},"
                f" the newest claim had {claims[-1].seq}",
                row.key,
            )
        elif accepted.how != "returned":
            yield Violation(
                "stale", f"the result of {accepted.x} was accepted, which ended with {accepted.how}", row.key
            )


def _children_after_parents(view: _View) -> Iterator[Violation]:
    for edge in view.history.edges:
        parent, child = (edge.run_id, edge.parent), (edge.run_id, edge.child)
        ended = view.ended_at(parent)
        row = view.rows.get(child)
        if row is None:
            yield Violation("early", f"step {edge.child} is needed by an edge and not there", child)
            continue
        # a fan-out is claimed to make its items, which it then waits for
        starts = [] if _gathers(view, edge.parent, row) else view.claims.get(child, [])
        if starts and (ended is None or starts[0].number < ended):
            yield Violation(
                "early",
                f"it was claimed (change {starts[0].number}) before its need {edge.parent} ended ({ended})",
                child,
            )
        parent_row = view.rows.get(parent)
        accepted = view.by_name.get(parent_row.x or "") if parent_row else None
        begun = min((execution.begin for execution in view.executions[child]), default=None)
        if edge.run_id in view.retried:
            continue  # a retry runs a need anew, whose children have run before
        if accepted is not None and accepted.end is not None and begun is not None and begun < accepted.end:
            yield Violation(
                "early",
                f"it began {accepted.end - begun:.3f} s before the end of {accepted.x}, which it needs",
                child,
            )


def _gathers(view: _View, parent: int, child: Row) -> bool:
    found = view.rows.get((child.run_id, parent))
    return child.name == _FAN and found is not None and found.item_key is not None


def _attempts_counted(view: _View) -> Iterator[Violation]:
    recorded = {(attempt.run_id, attempt.ordinal, attempt.seq) for attempt in view.history.attempts}
    for key, executions in view.executions.items():
        yield from _executions_claimed(view, key, executions)
    for key, changes in view.changes.items():
        row = view.rows.get(key)
        if row is None or not row.name.startswith("chaos."):
            continue
        for before, after in pairwise(changes):
            if before.after != "running" or after.before != "running":
                continue
            kept = after.attempt == before.attempt
            if not kept and after.attempt != before.attempt - 1:
                yield Violation(
                    "attempts", f"attempt {before.attempt} became {after.attempt} when it ended", key
                )
            elif kept and after.after != "completed" and (*key, before.seq) not in recorded:
                yield Violation(
                    "attempts", f"attempt {before.attempt} ended {after.after} and is recorded nowhere", key
                )
        given_back = sum(
            after.attempt < before.attempt for before, after in pairwise(changes) if before.after == "running"
        )
        claims = len(view.claims.get(key, []))
        if row.attempt != claims - given_back:
            yield Violation(
                "attempts", f"{claims} claims and {given_back} releases make no {row.attempt} attempts", key
            )
        if row.attempt - row.crashes > row.max_attempts and row.run_id not in view.retried:
            yield Violation(
                "attempts",
                f"{row.attempt} attempts with {row.crashes} crashes exceed max_attempts {row.max_attempts}",
                key,
            )


def _executions_claimed(view: _View, key: Key, executions: list[Execution]) -> Iterator[Violation]:
    row = view.rows.get(key)
    tokens = {claim.seq: claim for claim in view.claims.get(key, [])}
    for token, count in Counter(execution.token for execution in executions).items():
        if count > 1:
            yield Violation("attempts", f"the lease with token {token} was executed {count} times", key)
    for execution in executions:
        claim = tokens.get(execution.token)
        if claim is None:
            yield Violation(
                "attempts", f"{execution.x} ran under token {execution.token}, which no claim has had", key
            )
        elif claim.attempt != execution.attempt:
            yield Violation(
                "attempts",
                f"{execution.x} took itself for attempt {execution.attempt}, its claim was {claim.attempt}",
                key,
            )
    retried = row is not None and row.run_id in view.retried
    if row is not None and row.max_attempts == 1 and len(executions) > 1 and not retried:
        yield Violation("attempts", f"max_attempts is 1, and it was executed {len(executions)} times", key)


def _ends_stay(view: _View) -> Iterator[Violation]:
    for key, changes in view.changes.items():
        ended, legal = (_RUN_ENDED, None) if key[1] == RUN else (_ENDED, STEP_TRANSITIONS)
        for change in changes:
            if change.before in ended and not _by_retry(view, change):
                yield Violation(
                    "changed",
                    f"it was {change.before}, and then {change.after} (change {change.number})",
                    key,
                )
            elif (
                legal
                and change.before not in (None, change.after)
                and change.after not in legal[StepState(change.before)]
            ):
                yield Violation(
                    "changed",
                    f"{change.before} -> {change.after} is no transition (change {change.number})",
                    key,
                )
        for before, after in pairwise(changes):
            if after.before != before.after:
                yield Violation(
                    "changed", f"it was {before.after}, and became {after.after} from {after.before}", key
                )
        final = _state_of(view, key)
        if final != changes[-1].after:
            yield Violation("changed", f"it was last seen to become {changes[-1].after}, and is {final}", key)


def _by_retry(view: _View, change: Change) -> bool:
    if change.run_id not in view.retried or change.before is None:
        return False
    if change.ordinal == RUN:
        return change.after == "running"
    return change.after in STEP_TRANSITIONS[StepState(change.before)]


def _state_of(view: _View, key: Key) -> str | None:
    if key[1] == RUN:
        run = view.runs.get(key[0])
        return run.state if run else None
    row = view.rows.get(key)
    return row.state if row else None


def _nothing_leaked(view: _View) -> Iterator[Violation]:
    for slot in view.history.slots:
        yield Violation("leaked", f"a slot of {slot.what} is {slot.state} by {slot.owner} after the end")
    for queue, limit in view.history.limits.items():
        most = _most_at_once(_spans(view, queue))
        if most > limit:
            yield Violation("leaked", f"{most} attempts of queue {queue} ran at once, its limit is {limit}")
    for run in view.history.runs:
        if run.state in _RUN_ENDED and run.remaining:
            yield Violation(
                "leaked",
                f"run {run.name} has ended, and {run.remaining} steps remain to be counted",
                (run.run_id, RUN),
            )


def _spans(view: _View, queue: str) -> Iterator[tuple[float, float]]:
    for row in view.history.rows:
        if row.queue == queue and row.state == "completed" and row.claimed_at and row.finished_at:
            yield row.claimed_at, row.finished_at
    for attempt in view.history.attempts:
        row_ = view.rows.get((attempt.run_id, attempt.ordinal))
        if row_ and row_.queue == queue and attempt.claimed_at and attempt.finished_at:
            yield attempt.claimed_at, attempt.finished_at


def _most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    # at equal times an end comes before a begin
    steps = sorted(step for begin, end in spans for step in ((begin, 1), (end, -1)))
    most = now = 0
    for _, change in steps:
        now += change
        most = max(most, now)
    return most


def _effects_once(view: _View) -> Iterator[Violation]:
    written: Counter[Key] = Counter((effect.run_id, effect.ordinal) for effect in view.history.effects)
    for row in view.history.rows:
        if row.name == "chaos.effect.v1" and row.run_id not in view.retried:
            expected = int(row.state == "completed")
            if written[row.key] != expected:
                yield Violation(
                    "effects", f"it is {row.state} and has written {written[row.key]} times", row.key
                )
    for effect in view.history.effects:
        key = (effect.run_id, effect.ordinal)
        held = view.rows.get(key)
        if key[0] not in view.retried and (held is None or held.x != effect.x):
            yield Violation(
                "effects", f"{effect.x} has written, and the result is of {held.x if held else None}", key
            )


def _ends_recorded(view: _View) -> Iterator[Violation]:
    letters = {(letter.run_id, letter.ordinal) for letter in view.history.letters}
    for row in view.history.rows:
        if row.kind == "closing":
            continue
        dead = row.state == "discarded" and not row.optional
        if dead and row.key not in letters:
            yield Violation("recorded", "it was discarded, and there is no dead letter", row.key)
        if not dead and row.key in letters:
            yield Violation("recorded", f"it is {row.state}, and there is a dead letter", row.key)
    failed = {row.run_id for row in view.history.rows if row.state == "discarded" and not row.optional}
    for run in view.history.runs:
        if run.state == "completed" and run.run_id in failed:
            yield Violation(
                "recorded", "the run is completed, and a step of it was discarded", (run.run_id, RUN)
            )
        if run.state == "failed" and run.run_id not in failed:
            yield Violation(
                "recorded", "the run has failed, and no step of it was discarded", (run.run_id, RUN)
            )
    for act in view.history.acts:
        key = (act.id, RUN if act.id in view.runs else 0)
        state = _state_of(view, key)
        if act.what != "cancel" or act.id in view.retried:
            continue
        if act.fate == "acknowledged" and state != "cancelled":
            yield Violation("recorded", f"its cancel was acknowledged, and it is {state}", key)


def _workers_stay(view: _View) -> Iterator[Violation]:
    for departure in view.history.departures:
        yield Violation("worker", departure)
    for attempt in view.history.attempts:
        if attempt.reason in _OWN_FAULTS:
            yield Violation(
                "worker",
                f"attempt {attempt.attempt} came to nothing: {attempt.reason}",
                (attempt.run_id, attempt.ordinal),
            )


_RULES = (
    _nothing_lost,
    _all_ended,
    _newest_lease_only,
    _children_after_parents,
    _attempts_counted,
    _ends_stay,
    _nothing_leaked,
    _effects_once,
    _ends_recorded,
    _workers_stay,
)
