"""The bounds in which the model is searched: small ones for every run of the tests, and how to widen them."""

from __future__ import annotations

from tests.model_check.fleet import Scene
from tests.model_check.leaders import CronScene
from tests.model_check.tables import intent, run
from tests.model_check.worlds import Budget

FAN_IN = run((), (), (0, 1))

SCENES = {
    "an intent, at most once": Scene(intent(1), Budget(crash=1, death=1, silence=1, lost=1)),
    "an intent that fails": Scene(
        intent(2),
        Budget(silence=1, lost=1, fail=2, give=1),
        outcomes=("completed", "retry", "snoozed", "released"),
    ),
    "a step that kills its processes": Scene(intent(2), Budget(crash=4), processes=1),
    "a fan-in": Scene(FAN_IN, Budget(silence=1, lost=1)),
    "a fan-in, three processes": Scene(FAN_IN, Budget(death=1, silence=1), processes=3),
    "a fan-in, two at once": Scene(FAN_IN, Budget(crash=1, lost=1), slots=2),
    "a fan-in that fails": Scene(
        run((), (), (0, 1), most=(2, 1, 2)),
        Budget(silence=1, fail=1, discard=1),
        outcomes=("completed", "retry", "discarded"),
    ),
    "a tolerated failure": Scene(
        run((), (), (0, 1), most=1, tolerated=(0,)),
        Budget(discard=1, abort=1),
        outcomes=("completed", "discarded", "aborted"),
    ),
    "a drain": Scene(FAN_IN, Budget(drain=1, lost=1), slots=2, alone=True),
    "a drain, at most once": Scene(run((), (0,), most=1), Budget(drain=2, crash=1), alone=True),
    "cancel and explicit retry": Scene(run((), (0,), most=(1, 2)), Budget(cancel=1, retry=1, silence=1)),
    "a retry that is due later": Scene(
        intent(2), Budget(silence=1, later=1, cancel=1, retry=1), outcomes=("completed", "later")
    ),
}
CRON_SCENES = {
    "slots that may overlap": CronScene("allow"),
    "slots that are skipped": CronScene("skip"),
    "slots that wait": CronScene("queue"),
    "slots that are missed": CronScene("queue", catchup=0, crashes=0),
    "a schedule that is changed": CronScene("skip", slots=2, changes=1, crashes=0),
}


def wider(scene: Scene, faults: int, processes: int | None = None) -> Scene:
    """Return a scene with so many more faults of each kind that it has, and so many processes at least."""
    budget = Budget(*(count + faults if count else 0 for count in scene.budget))
    return scene._replace(budget=budget, processes=max(scene.processes, processes or 0))


def longer(scene: CronScene, faults: int, leaders: int | None = None) -> CronScene:
    """Return a scene with so many more slots and faults of each kind that it has, and so many leaders."""
    return scene._replace(
        slots=scene.slots + faults,
        expiries=scene.expiries + faults if scene.expiries else 0,
        crashes=scene.crashes + faults if scene.crashes else 0,
        changes=scene.changes,
        leaders=max(scene.leaders, leaders or 0),
    )
