"""Wrong ways to fire schedules, each with one mistake that is easy to make; the search must find all."""

from __future__ import annotations

from typing import NamedTuple

from tests.model_check import leaders, promises
from tests.model_check.fleet import Move
from tests.model_check.leaders import CronScene, Leader, Leaders
from tests.model_check.slots import SlotRules


class NoKey(SlotRules):
    """The work of a slot has no key of its own."""

    def start(self, row, slot):
        return self.record(row, slot)


class NoFence(SlotRules):
    """A slot is fired whatever the next one is by now; its key saves it from being fired twice."""

    def stands(self, row, version, slot):
        return row.active and row.version == version


class NoUniqueness(NoKey, NoFence):
    """Neither the slot that stands there nor a key keeps a slot from being fired again."""


class NoVersion(SlotRules):
    """What was computed for an older expression is written all the same."""

    def stands(self, row, version, slot):
        return row.active and row.following == slot


class MovesOnFirst(Leaders):
    """The next slot is committed, and the work is recorded in a second transaction."""

    def _fire(self, watch, number, leader):
        for move in super()._fire(watch, number, leader):
            if move.what[-1] != "fired":
                yield move
                continue
            row = watch.row._replace(following=leader.slot + 1)
            then = move.world.leaders[number]._replace(owed=(leader.slot,))
            yield self._wrote(watch, number, then, row, ("move on", number, leader.slot))

    def _second_transaction(self, watch, number, leader):
        if leader.owed:
            row = self.rules.start(watch.row, leader.owed[0])
            yield self._wrote(
                watch, number, leader._replace(owed=()), row, ("record", number, leader.owed[0])
            )


class RecordsFirst(Leaders):
    """The work is committed, and the next slot is set in a second transaction."""

    def _fire(self, watch, number, leader):
        for move in super()._fire(watch, number, leader):
            if move.what[-1] != "fired":
                yield move
                continue
            row = move.world.row._replace(following=watch.row.following)
            then = Leader(leader.believes, owed=(leader.slot,))
            yield self._wrote(watch, number, then, row, ("record", number, leader.slot))

    def _second_transaction(self, watch, number, leader):
        if leader.owed:
            row = watch.row
            if row.following == leader.owed[0]:
                row = row._replace(following=leader.owed[0] + 1)
            yield self._wrote(watch, number, leader._replace(owed=()), row, ("move on", number))


class SkipsWithoutTrace(SlotRules):
    """A slot that finds earlier work is passed by, and nothing tells of it."""

    def fire(self, row, version, slot, following, *, late, now):
        after, outcome = super().fire(row, version, slot, following, late=late, now=now)
        return (row._replace(following=following), outcome) if outcome == "skipped" else (after, outcome)


class QueuedIgnoresWork(SlotRules):
    """A slot that waits is fired as soon as a leader sees it."""

    def fire_queued(self, row, version):
        after, first = super().fire_queued(row._replace(overlap="allow"), version)
        return after._replace(overlap=row.overlap), first


class StopsAtCrash(Leaders):
    """Nobody takes over the lease of a leader."""

    def _leading(self, watch, number, leader):
        for move in super()._leading(watch, number, leader):
            if move.what[0] == "dies":
                yield Move(move.what, move.helps, move.world._replace(lease=watch.lease))
            else:
                yield move


class CronMutant(NamedTuple):
    """A wrong protocol, the bounds in which it is found, and the promise that it breaks."""

    scene: CronScene
    promise: str
    rules: type[SlotRules] = SlotRules
    leaders: type[Leaders] = Leaders
    but: frozenset[str] = frozenset()

    def model(self) -> Leaders:
        """Return what is to be searched."""
        return self.leaders(self.scene, self.rules, self.but)


CRON_MUTANTS = {
    "a slot without uniqueness": CronMutant(
        CronScene(crashes=0), leaders.TWICE, NoUniqueness, but=frozenset({leaders.BACK})
    ),
    "a slot without its fence": CronMutant(CronScene(crashes=0), leaders.BACK, NoFence),
    "moves on before it records": CronMutant(CronScene(expiries=0), leaders.GONE, leaders=MovesOnFirst),
    "moves on before it records: a slot is lost": CronMutant(
        CronScene(expiries=0), promises.WORK, leaders=MovesOnFirst, but=frozenset({leaders.GONE})
    ),
    "records before it moves on": CronMutant(CronScene(expiries=0), leaders.TWICE, NoKey, RecordsFirst),
    "an older expression": CronMutant(CronScene(crashes=0, changes=1), leaders.VERSION, NoVersion),
    "a slot is skipped without a trace": CronMutant(CronScene("skip"), leaders.GONE, SkipsWithoutTrace),
    "a slot that waits overlaps": CronMutant(CronScene("queue"), leaders.OVERLAP, QueuedIgnoresWork),
    "nobody takes over": CronMutant(CronScene(expiries=0), promises.WORK, leaders=StopsAtCrash),
}
