"""The health of a worker: what its supervisor publishes, and what that means to whoever asks."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from tributary_daemon.model import durations
from tributary_daemon.store import faults

if TYPE_CHECKING:
    from tributary_daemon.daemon.family import Family
    from tributary_daemon.daemon.plan import WorkerPlan
    from tributary_daemon.daemon.tally import Tally

State = Literal["starting", "running", "paused", "draining", "fenced"]
STATES: Final[tuple[State, ...]] = get_args(State)

STUCK_AFTER: Final = 15.0
"""Seconds of silence after which a process counts as stuck, if it is not killed for it before; it gives a
sign every second when it is well."""

ANSWER_WITHIN: Final = 10.0
"""Seconds within which the database must have answered a beat."""

_LOOP_AT_LEAST: Final = 45.0


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """One process, as its supervisor saw it last.

    Attributes:
        pid: of the operating system.
        claiming: it was let claim, and was not told to drain.
        signed_at: monotonic seconds of its last sign of life.
        trouble: why the database does not serve it; None while all is well.
    """

    pid: int
    claiming: bool
    signed_at: float
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Resting:
    """A place whose process died too fast, too often: the next one is started after a pause.

    Attributes:
        deaths: in a row.
        until: monotonic seconds.
    """

    deaths: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What a supervisor published at the end of one turn of its loop. Times are monotonic seconds.

    Attributes:
        turned_at: when that was.
        turn_within: after how many seconds without another turn the loop counts as stuck.
        stuck_after: seconds of silence after which a process counts as stuck.
        state: of the worker.
        reachable: whether the database answered when it was last asked.
        reachable_since: since when that holds.
        answered_at: when it last answered; None when it never has.
        fault: why it did not answer.
        refused: it has answered, with a refusal.
        wanted: processes.
        processes: those that are alive.
        resting: places that wait for their next process.
    """

    name: str
    version: str
    turned_at: float
    turn_within: float
    stuck_after: float = STUCK_AFTER
    state: State = "starting"
    reachable: bool = False
    reachable_since: float = 0.0
    answered_at: float | None = None
    fault: str | None = None
    refused: bool = False
    wanted: int = 0
    processes: tuple[ProcessHealth, ...] = ()
    resting: tuple[Resting, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to a question about health.

    Attributes:
        well: yes or no.
        document: why, as JSON.
    """

    well: bool
    document: dict[str, Any]


class Health:
    """Where a supervisor publishes and the endpoint reads; each report replaces the one before.

    Args:
        plan: of the worker.

    Attributes:
        tally: of what the processes count; None before the first turn.
    """

    def __init__(self, plan: WorkerPlan) -> None:
        now = time.monotonic()
        self.tally: Tally | None = None
        self._was_up = False
        self._fenced = False
        self._report = HealthReport(
            name=plan.name,
            version=plan.version,
            turned_at=now,
            # a network that swallows packets holds a statement for 30 s and a login for 10 s: the loop is
            # late then, and a restart would not help
            turn_within=max(plan.silence_limit, _LOOP_AT_LEAST),
            # before the supervisor kills it for that
            stuck_after=min(STUCK_AFTER, plan.silence_limit / 2),
            reachable_since=now,
            wanted=plan.processes,
        )

    @property
    def report(self) -> HealthReport:
        """The latest report."""
        return self._report

    def answered(self) -> None:
        """The database has answered a beat."""
        now = time.monotonic()
        before = self._report
        self._report = replace(
            before,
            reachable=True,
            reachable_since=before.reachable_since if before.reachable else now,
            answered_at=now,
            fault=None,
        )

    def lost(self, error: Exception) -> None:
        """The database did not answer."""
        before, trouble = self._report, faults.trouble(error)
        self._report = replace(
            before,
            reachable=False,
            reachable_since=time.monotonic() if before.reachable else before.reachable_since,
            fault=trouble.message,
            refused=trouble.answers,
        )

    def fenced(self) -> None:
        """The worker was fenced: until a new process claims, it does nothing."""
        self._fenced = True

    def turned(self, family: Family, *, draining: bool, paused: bool) -> None:
        """Publish at the end of a turn.

        Args:
            family: the processes.
            draining: the worker drains.
            paused: an operator has paused it.
        """
        self.tally = family.tally
        processes = tuple(
            ProcessHealth(
                member.pid, bool(member.process_id) and not member.draining, member.signed_at, member.trouble
            )
            for member in family
        )
        up = any(process.claiming for process in processes)
        self._was_up = self._was_up or up
        self._fenced = self._fenced and not up
        state: State = "running"
        if draining:
            state = "draining"
        elif self._fenced:
            state = "fenced"
        elif paused:
            state = "paused"
        elif not self._was_up:
            state = "starting"
        self._report = replace(
            self._report,
            turned_at=time.monotonic(),
            state=state,
            processes=processes,
            resting=tuple(Resting(deaths, until) for deaths, until in family.resting.values()),
        )


def live(report: HealthReport, now: float) -> Verdict:
    """Answer whether the supervisor's loop turns. A database that is away is no reason to say no."""
    silent = now - report.turned_at
    reasons = []
    if silent > report.turn_within:
        reasons.append(f"the supervisor's loop has not turned for {durations.text(silent)}")
    return Verdict(not reasons, {"status": "failing" if reasons else "live", **_facts(report, now, reasons)})


def ready(report: HealthReport, now: float) -> Verdict:
    """Answer whether the worker takes work now: a process claims and the database answers."""
    alive = live(report, now)
    reasons = [*alive.document["reasons"], *_state_reasons(report), *_database_reasons(report, now)]
    if not any(_claims(process, report, now) for process in report.processes):
        reasons.append(f"no process claims: {_short(report, now)}")
    return Verdict(
        not reasons, {"status": "not ready" if reasons else "ready", **_facts(report, now, reasons)}
    )


def answers(report: HealthReport, now: float) -> bool:
    """Return whether the database answers the beats."""
    return not _database_reasons(report, now)


def processes(report: HealthReport, now: float) -> dict[str, int]:
    """Count processes by what they do; idle ones do not claim yet, or any more, resting ones do not live."""
    found = dict.fromkeys(("claiming", "stuck", "troubled", "idle", "resting"), 0)
    found["resting"] = len(report.resting)
    for process in report.processes:
        if not process.claiming:
            state = "idle"
        elif _stuck(process, report, now):
            state = "stuck"
        else:
            state = "claiming" if process.trouble is None else "troubled"
        found[state] += 1
    return found


def _state_reasons(report: HealthReport) -> list[str]:
    match report.state:
        case "paused":
            return [f"an operator has paused it; `trib workers resume {report.name}` goes on"]
        case "draining":
            return ["it drains: it claims nothing new and ends once what runs has"]
        case "fenced":
            return ["it was fenced: its leases went to others, its processes are being replaced"]
        case _:
            return []


def _database_reasons(report: HealthReport, now: float) -> list[str]:
    if report.answered_at is None and report.fault is None:
        return ["the database has not answered yet"]
    silent = now - (report.answered_at if report.answered_at is not None else report.reachable_since)
    if report.reachable and silent <= ANSWER_WITHIN:
        return []
    because = f": {report.fault}" if report.fault else ""
    if report.refused:
        return [f"the database has refused for {durations.text(silent)}{because}"]
    return [f"the database has not answered for {durations.text(silent)}{because}"]


def _warnings(report: HealthReport, now: float) -> list[str]:
    claiming = sum(_claims(process, report, now) for process in report.processes)
    if report.state == "running" and 0 < claiming < report.wanted:
        return [f"{claiming} of {report.wanted} processes claim: {_short(report, now)}"]
    return []


def _short(report: HealthReport, now: float) -> str:
    """Say where the processes are that do not claim."""
    parts = [
        f"process {process.pid} has been silent for {durations.text(now - process.signed_at)}"
        for process in report.processes
        if _stuck(process, report, now)
    ]
    parts += [
        f"process {process.pid} has trouble with the database: {process.trouble}"
        for process in report.processes
        if process.claiming and process.trouble is not None
    ]
    starting = sum(not process.claiming for process in report.processes)
    if starting:
        parts.append(f"{starting} {'end' if report.state == 'draining' else 'start'}")
    for rest in report.resting:
        pause = durations.text(max(0.0, rest.until - now))
        parts.append(f"one died {rest.deaths} times in a row, the next comes in {pause}")
    missing = report.wanted - len(report.processes) - len(report.resting)
    if missing > 0:
        parts.append(f"{missing} not started")
    return ", ".join(parts)


def _facts(report: HealthReport, now: float, reasons: list[str]) -> dict[str, Any]:
    return {
        "reasons": reasons,
        "warnings": _warnings(report, now),
        "name": report.name,
        "version": report.version,
        "state": report.state,
        "turned": _ago(report.turned_at, now),
        "database": {
            "reachable": report.reachable,
            "since": _ago(report.reachable_since, now),
            "answered": _ago(report.answered_at, now),
            "fault": report.fault,
        },
        "processes": {
            "wanted": report.wanted,
            "claiming": [process.pid for process in report.processes if _claims(process, report, now)],
            "stuck": [process.pid for process in report.processes if _stuck(process, report, now)],
            "troubled": [process.pid for process in report.processes if process.trouble is not None],
            "starting": [process.pid for process in report.processes if not process.claiming],
            "resting": [
                {"deaths": rest.deaths, "seconds": round(max(0.0, rest.until - now), 3)}
                for rest in report.resting
            ],
        },
    }


def _claims(process: ProcessHealth, report: HealthReport, now: float) -> bool:
    return process.claiming and process.trouble is None and not _stuck(process, report, now)


def _stuck(process: ProcessHealth, report: HealthReport, now: float) -> bool:
    return process.claiming and now - process.signed_at > report.stuck_after


def _ago(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, now - at), 3)
