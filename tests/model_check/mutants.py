"""Wrong protocols, each with one mistake that is easy to make; in each the search must find a broken promise.

A mutant that passes means that the model, its bounds or its promises are too weak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.model_check import promises
from tests.model_check.fleet import HELPFUL, Fleet, Move, Scene
from tests.model_check.rules import GOOD, Rules, put
from tests.model_check.tables import Told, intent, run
from tests.model_check.worlds import Budget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model_check.worlds import World


class NoFence(Rules):
    """A finish looks at the state, and not at who holds the step."""

    def stands(self, step, token):
        return step.state == "running"


class NoFenceAtAll(Rules):
    """A finish writes whatever it brings."""

    def stands(self, step, token):
        return True


class RescueUncounted(Rules):
    """A rescue gives the attempt back as if it had never been."""

    def rescued(self, step, told):
        return told._replace(outcome="returned") if told.outcome == "crashed" else told

    def outcome(self, number, step, told):
        return super().outcome(number, step, self.rescued(step, told))


class RescueUnfenced(Rules):
    """A rescue takes what it has read before, whatever happened since."""

    def finish(self, tables, batch):
        for told in batch:
            if told.outcome == "crashed":
                step = tables.steps[told.step]
                tables = put(tables, told.step, step._replace(state="running", token=told.token))
        return super().finish(tables, batch)


class RescueKeepsToken(Rules):
    """A rescued step keeps its token, and so does its next lease."""

    def again(self, step, outcome, lone, *, later):
        return super().again(step, outcome, lone, later=later)._replace(token=step.token)


class RetryKeepsToken(Rules):
    """An explicit retry leaves the token as it was."""

    def renewed(self, step):
        return step.token


class RepeatDecrements(Rules):
    """A finish that is told again is accepted again: the row stays, but its children are counted twice."""

    def stands(self, step, token):
        return step.token == token and step.state in {"running", "completed"}


class SettlesBlindly(Rules):
    """A child is made available when its needs have ended, however they did."""

    def decide(self, step, ended, bad):
        return super().decide(step, ended, 0)


class SettlesEagerly(Rules):
    """A child does not wait for all its needs."""

    def decide(self, step, ended, bad):
        step = super().decide(step, ended, bad)
        if step.state != "blocked":
            return step
        return step._replace(state="available", token=step.token + 1)


class CancelLeavesRunning(Rules):
    """A cancel ends what waits, and leaves what runs to its process."""

    def stop(self, tables, ending, state, reason):
        stopped = super().stop(tables, ending, state, reason)
        kept = tuple(
            old if old.state == "running" else new
            for old, new in zip(tables.steps, stopped.steps, strict=True)
        )
        return stopped._replace(steps=kept)


class DrainCounts(Rules):
    """What a drain gives back counts an attempt."""

    def again(self, step, outcome, lone, *, later):
        again = super().again(step, outcome, lone, later=later)
        return again._replace(attempt=step.attempt) if outcome in {"released", "returned"} else again


class CrashesUseUp(Rules):
    """Crashes of a process use up the attempts of an innocent step."""

    def outcome(self, number, step, told):
        return super().outcome(number, step._replace(crashes=0), told)


class StartUnrecorded(Rules):
    """The start of an attempt is not written down before user code runs."""

    def mark(self, tables, leases):
        _, standing = super().mark(tables, leases)
        return tables, standing


class CountsLater(Fleet):
    """A finish commits the row; what needs it, and the run, are counted in a second transaction."""

    def _write(self, world, batch, number):
        if number is None:
            return super()._write(world, batch, number)  # a rescue, or a supervisor
        tables, _, _, refused = self.rules.write(world.tables, batch)
        return tables, refused

    def _bring(self, world, batch, number):
        after, broken = super()._bring(world, batch, number)
        if number is None:
            return after, broken
        _, ends, _, _ = self.rules.write(world.tables, [told for told, _ in batch])
        member = after.members[number]
        members = list(after.members)
        members[number] = member._replace(owed=(*member.owed, *ends))
        return after._replace(members=tuple(members)), broken

    def _second_transaction(self, world: World, number: int) -> Iterator[Move]:
        member = world.members[number]
        if member.owed:
            members = list(world.members)
            members[number] = member._replace(owed=())
            tables = self.rules.settle(world.tables, member.owed)
            yield Move(("count", number), HELPFUL, world._replace(tables=tables, members=tuple(members)))


class CountsWhatItRead(Rules):
    """A counter is what was read before its lock, less one: two needs that end together count once."""

    def settle(self, tables, ends):
        if len(ends) > 1 and all(end == GOOD for _, end in ends):
            first, *others = ends
            tables = super().settle(tables, [first])
            return tables._replace(run=self.count(tables.run, [end for _, end in others]))
        return super().settle(tables, ends)


class DrainReleasesFirst(Fleet):
    """At the deadline leases are given back before what runs is killed."""

    def _drain(self, world, number):
        member = world.members[number]
        if member.mode == "drains" and member.held:
            batch = [
                (Told(held.step, held.token, "released" if held.phase == "runs" else "returned"), held.claim)
                for held in member.held
            ]
            after, broken = self._bring(world, batch, number)
            yield Move(("give back", number), HELPFUL, self._mode(after, number, "killed"), broken)
        elif member.mode == "killed":
            yield Move(("kill", number), HELPFUL, self._gone(world, number))
        else:
            yield from super()._drain(world, number)


class NobodyReconciles(Fleet):
    """A claim whose answer was lost is never given back: its process beats for it, and does not know."""

    def _many(self, world, number):
        return (move for move in super()._many(world, number) if move.what[0] != "reconcile")


class NobodyRescues(Fleet):
    """What a dead process held stays with it."""

    def _rescue(self, world):
        return iter(())


class Mutant(NamedTuple):
    """A wrong protocol, the bounds in which it is found, and the promise that it breaks."""

    scene: Scene
    promise: str
    rules: type[Rules] = Rules
    fleet: type[Fleet] = Fleet
    but: frozenset[str] = frozenset()

    def model(self) -> Fleet:
        """Return what is to be searched."""
        return self.fleet(self.scene, self.rules, self.but)


FAN_IN = run((), (), (0, 1))
CHAIN = run((), (0,))
_STALE = Scene(intent(2), Budget(silence=1))
_CRASHES = Scene(intent(2), Budget(death=2))

MUTANTS = {
    "no fence": Mutant(_STALE, promises.LEASE, NoFence),
    "no fence at all": Mutant(Scene(intent(2), Budget(lost=1)), promises.LEASE, NoFenceAtAll),
    "a finished state changes": Mutant(
        Scene(intent(2), Budget(cancel=1), outcomes=("completed", "discarded")),
        promises.FINISHED,
        NoFenceAtAll,
    ),
    "counters outside the transaction": Mutant(
        Scene(FAN_IN, Budget(death=1)), promises.COUNTERS, fleet=CountsLater
    ),
    "counters outside the transaction: work is lost": Mutant(
        Scene(FAN_IN, Budget(death=1)),
        promises.WORK,
        fleet=CountsLater,
        but=frozenset({promises.COUNTERS}),
    ),
    "counters are read before they are locked": Mutant(
        Scene(FAN_IN, Budget(), slots=2), promises.COUNTERS, CountsWhatItRead
    ),
    "rescue without the attempt's count": Mutant(_CRASHES, promises.ATTEMPTS, RescueUncounted),
    "rescue without the attempt's count: twice at most once": Mutant(
        Scene(intent(1), Budget(death=1)), promises.ONCE, RescueUncounted, but=frozenset({promises.ATTEMPTS})
    ),
    "rescue without a fence": Mutant(_STALE, promises.FINISHED, RescueUnfenced),
    "rescue keeps the token": Mutant(_STALE, promises.LEASE, RescueKeepsToken),
    "explicit retry keeps the token": Mutant(
        Scene(intent(2), Budget(cancel=1, retry=1)), promises.LEASE, RetryKeepsToken
    ),
    "a finish told again counts again": Mutant(
        Scene(FAN_IN, Budget(lost=1)), promises.LEASE, RepeatDecrements
    ),
    "a finish told again counts again: its child starts early": Mutant(
        Scene(FAN_IN, Budget(lost=1)), promises.EARLY, RepeatDecrements, but=frozenset({promises.LEASE})
    ),
    "a child of a failed step runs": Mutant(
        Scene(CHAIN, Budget(discard=1), outcomes=("completed", "discarded")), promises.EARLY, SettlesBlindly
    ),
    "a child does not wait for all": Mutant(Scene(FAN_IN, Budget()), promises.EARLY, SettlesEagerly),
    "cancel leaves what runs": Mutant(Scene(CHAIN, Budget(cancel=1)), promises.COUNTERS, CancelLeavesRunning),
    "drain counts the attempt": Mutant(Scene(intent(2), Budget(drain=1)), promises.ATTEMPTS, DrainCounts),
    "drain releases before it kills": Mutant(
        Scene(intent(2), Budget(drain=1), alone=True), promises.ALONE, fleet=DrainReleasesFirst
    ),
    "crashes use up attempts": Mutant(
        Scene(intent(2), Budget(death=1, fail=1), outcomes=("completed", "retry")),
        promises.ATTEMPTS,
        CrashesUseUp,
    ),
    "the start is not recorded": Mutant(Scene(intent(1), Budget(death=1)), promises.ONCE, StartUnrecorded),
    "a lost claim is not given back": Mutant(
        Scene(intent(2), Budget(lost=1)), promises.WORK, fleet=NobodyReconciles
    ),
    "nobody rescues": Mutant(Scene(intent(2), Budget(death=1)), promises.WORK, fleet=NobodyRescues),
}
