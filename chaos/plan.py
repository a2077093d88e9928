"""The plan of a run of chaos: what is submitted when, which faults come when. A seed gives one plan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any, Literal

WORKERS = 3
BEHIND_RELAY = WORKERS - 1
PACE = 6.0  # submissions a second, on the average

Way = Literal["key", "plain", "transaction", "rolled_back"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A submission to come.

    Attributes:
        number: of the submission.
        at: seconds from the start.
        name: of a handler or a workflow.
        payload: of it.
        way: ``key``: by a client, with an idempotency key, again until it is answered. ``plain``: by SQL,
            once. ``transaction``: in a transaction that commits. ``rolled_back``: in one that does not.
        acts: what an operator does with it, and how many seconds after the submit.
        options: of the submit by a client.
    """

    number: int
    at: float
    name: str
    payload: dict[str, Any]
    way: Way
    acts: tuple[tuple[str, float], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to come.

    Attributes:
        at: seconds from the start.
        kind: see `KINDS`.
        seconds: how long it lasts.
        worker: which one; faults of the server ignore it.
        amount: a number from 0 to 1 for what else is random: which process, how far a clock jumps.
    """

    at: float
    kind: str
    seconds: float
    worker: int
    amount: float


@dataclass(frozen=True, slots=True)
class Kind:
    """How often a fault comes, how long it lasts, and what it has for itself meanwhile."""

    weight: int
    shortest: float
    longest: float
    takes: Literal["nothing", "worker", "server"]
    only: int | None = None


KINDS: dict[str, Kind] = {
    "kill_process": Kind(6, 0, 0, "nothing"),
    "kill_supervisor": Kind(3, 1, 6, "worker"),
    "kill_worker": Kind(3, 1, 12, "worker"),
    "stop_process": Kind(4, 1, 9, "worker"),
    # its processes work on, and lose their leases
    "stop_supervisor": Kind(5, 4, 18, "worker"),
    "stop_worker": Kind(4, 2, 18, "worker"),
    "drain_worker": Kind(3, 0, 2, "worker"),
    "cut_backends": Kind(6, 0, 0, "nothing"),
    # the fence alone keeps what they then finish from being accepted
    "rescue_early": Kind(4, 0, 0, "nothing"),
    "restart_server": Kind(3, 0, 4, "server"),
    "pin_rows": Kind(5, 2, 9, "nothing"),
    "exhaust_connections": Kind(3, 2, 8, "nothing"),
    "half_open": Kind(4, 2, 18, "nothing", only=BEHIND_RELAY),
    "jump_clock": Kind(4, 2, 12, "nothing"),
    "fill_disk": Kind(2, 2, 6, "server"),
}

_PAUSES = (0.3, 4.5)  # seconds between one fault and the next
_LEAD = 2.0  # before the first one

_INTENTS: tuple[tuple[str, int, dict[str, tuple[float, float]]], ...] = (
    ("chaos.quick.v1", 30, {}),
    ("chaos.slow.v1", 9, {"seconds": (0.5, 12)}),
    ("chaos.beating.v1", 4, {"seconds": (0.5, 8)}),
    ("chaos.async.v1", 7, {"seconds": (0.1, 8)}),
    ("chaos.lone.v1", 2, {"seconds": (0.1, 2)}),
    ("chaos.flaky.v1", 7, {}),
    ("chaos.failing.v1", 3, {}),
    ("chaos.abort.v1", 2, {}),
    ("chaos.crash.v1", 1, {}),
    ("chaos.poison.v1", 1, {}),
    ("chaos.snooze.v1", 5, {}),
    ("chaos.once.v1", 8, {"seconds": (0, 2)}),
    ("chaos.late.v1", 2, {}),
    ("chaos.deaf.v1", 1, {}),
    ("chaos.effect.v1", 9, {"seconds": (0, 1)}),
    ("chaos.narrow.v1", 7, {"seconds": (0.05, 1)}),
)
_WORKFLOWS = (
    ("chaos.diamond.v1", 5),
    ("chaos.chain.v1", 3),
    ("chaos.fan.v1", 4),
    ("chaos.troubled.v1", 4),
    ("chaos.grouped.v1", 3),
    ("chaos.single.v1", 3),
    ("chaos.parent.v1", 3),
)
_BY_CLIENT = "chaos.grouped.v1"  # its group is an expression, which SQL cannot evaluate
# what operators do: how often, and how many seconds after the submit
_ACTS = (("cancel", 0.06, (0.0, 6.0)), ("pause", 0.08, (0.0, 3.0)), ("retry", 0.12, (3.0, 20.0)))
_WAYS: tuple[tuple[Way, int], ...] = (("key", 6), ("plain", 2), ("transaction", 1), ("rolled_back", 1))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to happen."""

    seed: int
    seconds: float
    submissions: tuple[Planned, ...]
    faults: tuple[Fault, ...]

    def to_json(self) -> str:
        """Return it as text, to be kept."""
        return json.dumps(asdict(self), indent=1)


def make(
    seed: int, seconds: float, *, wanted: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()
) -> Plan:
    """Return the plan of a seed.

    Args:
        seed: any number.
        seconds: how long it lasts.
        wanted: faults to choose from; all of them if it is empty.
        without: faults that this machine cannot have. The submissions and the other faults stay the same.
    """
    kinds = {kind: known for kind, known in KINDS.items() if not wanted or kind in wanted}
    faults = [fault for fault in _faults(seed, seconds, kinds) if fault.kind not in without]
    return Plan(seed, seconds, tuple(_submissions(seed, seconds)), tuple(faults))


def _submissions(seed: int, seconds: float) -> list[Planned]:
    random = Random(f"{seed}: submissions")
    planned: list[Planned] = []
    at = 0.0
    while (at := at + random.expovariate(PACE)) < seconds:
        number = len(planned)
        way = random.choices([way for way, _ in _WAYS], [weight for _, weight in _WAYS])[0]
        if random.random() < 0.75:
            name, _, ranges = random.choices(_INTENTS, [weight for _, weight, _ in _INTENTS])[0]
            payload: dict[str, Any] = {"n": number}
            payload |= {key: round(random.uniform(*range_), 2) for key, range_ in ranges.items()}
        else:
            name = random.choices([name for name, _ in _WORKFLOWS], [weight for _, weight in _WORKFLOWS])[0]
            payload = {"n": number, "width": random.randint(0, 12), "group": random.choice("abc")}
            if name == _BY_CLIENT:
                way = "key"
        acts = [(what, random.uniform(*span)) for what, share, span in _ACTS if random.random() < share]
        options: dict[str, Any] = {}
        if way == "key":
            if random.random() < 0.1:
                options["run_after"] = round(random.uniform(0.5, 5), 1)
            if random.random() < 0.2:
                options["priority"] = random.randint(-2, 5)
        planned.append(Planned(number, round(at, 3), name, payload, way, _rounded(acts), options))
    return planned


def _rounded(acts: list[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple((what, round(after, 2)) for what, after in acts)


def _faults(seed: int, seconds: float, kinds: dict[str, Kind]) -> list[Fault]:
    random = Random(f"{seed}: faults")
    # each kind once, in a random order, then as they come
    first = list(kinds)
    random.shuffle(first)
    faults: list[Fault] = []
    free = {"server": 0.0, **{str(worker): 0.0 for worker in range(WORKERS)}}
    at = _LEAD
    while at < seconds:
        kind = first.pop() if first else random.choices(list(kinds), [k.weight for k in kinds.values()])[0]
        worker, length, amount = random.randrange(WORKERS), random.random(), random.random()
        pause = random.uniform(*_PAUSES)
        known = kinds[kind]
        lasts = round(known.shortest + length * (known.longest - known.shortest), 2)
        fault = Fault(
            round(at, 2), kind, lasts, worker if known.only is None else known.only, round(amount, 4)
        )
        if _take(free, fault, known.takes):
            faults.append(fault)
        at += pause
    return faults


def _take(free: dict[str, float], fault: Fault, takes: str) -> bool:
    """Take what a fault has for itself; return whether nothing else has it at that time."""
    if takes == "nothing":
        return True
    resource = "server" if takes == "server" else str(fault.worker)
    if free[resource] > fault.at:
        return False
    # what it takes to come back does not count: the next fault may hit it on the way
    free[resource] = fault.at + fault.seconds + 1
    return True
