"""Random traces: which call comes next, by whom, and with which of the leases that were ever handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model_check.public_recording import PublicRecorder
from tests.model_check.recording import OUTCOMES, PROCESSES, Recorder

if TYPE_CHECKING:
    import random

    from tests.model_check.recording import Stage
    from tests.model_check.replay import Trace

_WEIGHTS = {
    "claim": 12,
    "finish": 20,
    "stale": 5,
    "again": 3,
    "mark": 5,
    "rescue": 3,
    "reconcile": 2,
    "promote": 4,
    "fall_silent": 3,
    "beat": 3,
    "time_passes": 3,
    "cancel": 1,
    "retry": 1,
    "retry_from": 1,
    "requeue": 1,
}
_PUBLIC = {
    "claim": 12,
    "finish": 16,
    "stale": 5,
    "again": 3,
    "heartbeat": 2,
    "rescue": 2,
    "promote": 1,
    "fall_silent": 3,
    "time_passes": 2,
    "cancel": 1,
    "retry": 1,
    "requeue": 1,
}


def record(stage: Stage, dice: random.Random, length: int = 12) -> Trace:
    """Make so many random calls on a stage, roll them back, and return their trace."""
    with stage.connection.transaction(force_rollback=True):
        recorder = PublicRecorder(stage) if stage.public else Recorder(stage)
        weights = _PUBLIC if stage.public else _WEIGHTS
        latest = None
        while len(recorder.entries) <= length:
            word = dice.choices(list(weights), list(weights.values()))[0]
            number = dice.randrange(PROCESSES)
            if word == "finish" and (holders := [one for one in range(PROCESSES) if recorder.held[one]]):
                number = dice.choice(holders)
            if stage.public:
                latest = _public(recorder, word, number, dice, latest)
            else:
                latest = _call(recorder, word, number, dice, latest)
        return recorder.trace


def _call(
    recorder: Recorder, word: str, number: int, dice: random.Random, latest: tuple | None
) -> tuple | None:
    held = recorder.held[number]
    match word:
        case "claim":
            recorder.claim(number, dice.randint(1, 3))
        case "finish" | "stale":
            leases = held if word == "finish" else list(recorder.leases)
            if leases:
                later = dice.random() < 0.5
                usual = dice.random() < 0.4
                chosen = dice.sample(leases, min(len(leases), dice.choice([1, 1, 2, 3])))
                if dice.random() < 0.05:
                    chosen.append(chosen[0])
                words = ["completed" if usual else dice.choice(OUTCOMES) for _ in chosen]
                if set(words) == {"completed"}:
                    # the short way of workers, who bring each token once
                    chosen = list(dict.fromkeys(chosen))
                latest = (number, [(*lease, told, later) for lease, told in zip(chosen, words, strict=False)])
                recorder.finish(*latest)
        case "again":
            if latest:
                recorder.finish(*latest)
        case "mark":
            leases = held or list(recorder.leases)
            if leases:
                recorder.mark(dice.sample(leases, 1))
        case "reconcile":
            recorder.reconcile(number, [lease for lease in held if dice.random() < 0.7])
        case "fall_silent" | "beat":
            getattr(recorder, word)(number)
        case "retry":
            recorder.retry(None)
        case "time_passes":
            recorder.time_passes()
            if dice.random() < 0.7:
                recorder.promote()
        case "retry_from":
            recorder.retry(
                dice.randrange(len(recorder.stage.plan.needs)) if recorder.stage.plan.is_run else None
            )
        case "requeue":
            recorder.requeue(dice.randrange(len(recorder.stage.plan.needs)))
        case _:
            getattr(recorder, word)()
    return latest


def _public(
    recorder: PublicRecorder, word: str, number: int, dice: random.Random, latest: tuple | None
) -> tuple | None:
    held = recorder.held[number]
    match word:
        case "claim":
            recorder.claim(number, dice.randint(1, 2))
        case "finish" | "stale":
            leases = held if word == "finish" else list(recorder.leases)
            if leases:
                told = dice.choice(
                    ["completed", "completed", "retry", "retry", "discarded", "snoozed", "released"]
                )
                latest = (number, dice.choice(leases), told, dice.random() < 0.3)
                recorder.finish(*latest)
        case "again":
            if latest:
                recorder.finish(*latest)
        case "heartbeat":
            if recorder.leases:
                recorder.heartbeat(number, dice.choice(list(recorder.leases)))
        case "fall_silent":
            recorder.fall_silent(number)
        case "retry":
            recorder.retry(None)
        case "requeue":
            recorder.requeue(0)
        case _:
            getattr(recorder, word)()
    return latest
