"""Two workers of which each may believe that it leads, and the schedule that they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.model_check.fleet import FAULT, HELPFUL, Move
from tests.model_check.slots import Schedule, Slot, SlotRules

if TYPE_CHECKING:
    from collections.abc import Iterator

TWICE = "each slot is fired at most once"
BACK = "the next slot never goes back"
GONE = "no slot is passed by without a trace"
OVERLAP = "work of two slots does not overlap, unless that is allowed"
VERSION = "the next slot belongs to the schedule as it is"
NOTHING = -1


class Leader(NamedTuple):
    """A worker: whether it believes that it leads, and what it has read of the schedule."""

    believes: bool = False
    version: int | None = None  # None: nothing read
    slot: int | None = None
    until: int = 0  # what the time was when it read
    owed: tuple = ()  # only of a mutant: what a second transaction is to write


class Watch(NamedTuple):
    """One moment of a schedule and its leaders."""

    row: Schedule
    leaders: tuple[Leader, ...]
    now: int = NOTHING  # the newest slot that is due
    lease: int | None = None
    since: int = NOTHING  # slots up to here are no concern of the schedule as it is
    computed: int = 1  # by which version the next slot was computed
    expiries: int = 0
    crashes: int = 0
    changes: int = 0

    def tell(self) -> str:
        """Return this moment in one line."""
        row = self.row
        told = [
            f"{number}: {slot.fate or '-'}{' works' * slot.works}" for number, slot in enumerate(row.slots)
        ]
        told.append(f"now {self.now}, next {row.following}, version {row.version}, lease {self.lease}")
        for number, leader in enumerate(self.leaders):
            read = f", has read slot {leader.slot} at {leader.until}" if leader.version is not None else ""
            told.append(f"leader {number} {'leads' if leader.believes else 'follows'}{read}")
        return " | ".join(told)


class CronScene(NamedTuple):
    """The bounds of a search; ``catchup`` is how many slots a slot may be late."""

    overlap: str = "allow"
    slots: int = 3
    leaders: int = 2
    catchup: int = 9
    expiries: int = 1
    crashes: int = 1
    changes: int = 0


class Leaders:
    """The moves of a few leaders."""

    def __init__(
        self, scene: CronScene, rules: type[SlotRules] = SlotRules, but: frozenset[str] = frozenset()
    ) -> None:
        self.scene, self.but = scene, but
        self.rules = rules()

    def first(self) -> Watch:
        """Return the moment after the schedule was added."""
        scene = self.scene
        return Watch(
            Schedule(scene.overlap, (Slot(),) * scene.slots),
            (Leader(),) * scene.leaders,
            expiries=scene.expiries,
            crashes=scene.crashes,
            changes=scene.changes,
        )

    def canonical(self, watch: Watch) -> Watch:
        """Return the watch with its leaders, which are alike, in one order."""
        keys = sorted(
            (tuple(-1 if item is None else item for item in leader), watch.lease == number, number)
            for number, leader in enumerate(watch.leaders)
        )
        places = {number: place for place, (_, _, number) in enumerate(keys)}
        leaders = tuple(watch.leaders[number] for _, _, number in keys)
        return watch._replace(leaders=leaders, lease=None if watch.lease is None else places[watch.lease])

    def done(self, watch: Watch) -> bool:
        """Return whether every slot has its fate, and all its work has ended."""
        row = watch.row
        open_slots = [
            number for number, slot in enumerate(row.slots) if slot.fate is None and number > watch.since
        ]
        return watch.now == self.scene.slots - 1 and not open_slots and not row.busy

    def broken_by(self, before: Watch, move: Move) -> str | None:
        """Return the promise that a move breaks."""
        old, new = before.row.following, move.world.row.following
        if BACK not in self.but and old is not None and new is not None and new < old:
            return f"{BACK}: from {old} to {new}"
        return None

    def broken_in(self, watch: Watch) -> str | None:
        """Return the promise that does not hold at a moment."""
        row = watch.row
        for number, slot in enumerate(row.slots):
            if slot.count > 1:
                return f"{TWICE}: slot {number} {slot.count} times"
        for number in range(watch.since + 1, row.following or 0):
            if row.slots[number].fate is None and GONE not in self.but:
                return f"{GONE}: slot {number}"
        if row.overlap != "allow" and sum(slot.works for slot in row.slots) > 1:
            return OVERLAP
        if row.following is not None and watch.computed != row.version:
            return f"{VERSION}: it is {row.version}, and {watch.computed} has computed slot {row.following}"
        return None

    def moves(self, watch: Watch) -> Iterator[Move]:
        """Yield every move that is possible."""
        if watch.now < self.scene.slots - 1:
            yield Move(("time comes", watch.now + 1), HELPFUL, watch._replace(now=watch.now + 1))
        for number, slot in enumerate(watch.row.slots):
            if slot.works:
                yield Move(
                    ("work ends", number), HELPFUL, watch._replace(row=self.rules.end(watch.row, number))
                )
        if watch.lease is not None and watch.expiries:
            yield Move(("lease expires",), FAULT, watch._replace(lease=None, expiries=watch.expiries - 1))
        if watch.changes:
            row = self.rules.change(watch.row)
            changed = watch._replace(
                row=row, since=watch.now, computed=row.version, changes=watch.changes - 1
            )
            yield Move(("change",), FAULT, changed)
        for number, leader in enumerate(watch.leaders):
            yield from self._leading(watch, number, leader)
            if leader.version is not None:
                yield from self._turn(watch, number, leader)
            elif leader.believes and self._due(watch):
                row = watch.row
                read = leader._replace(version=row.version, slot=row.following, until=watch.now)
                yield Move(("read", number), HELPFUL, _leader(watch, number, read))
            yield from self._second_transaction(watch, number, leader)

    def _leading(self, watch: Watch, number: int, leader: Leader) -> Iterator[Move]:
        if watch.lease is None:
            leads = _leader(watch, number, leader._replace(believes=True))
            yield Move(("lead", number), HELPFUL, leads._replace(lease=number))
        elif watch.lease != number and leader.believes and leader.version is None:
            yield Move(
                ("learns that it does not lead", number),
                HELPFUL,
                _leader(watch, number, Leader(owed=leader.owed)),
            )
        if watch.crashes and leader != Leader():
            lease = None if watch.lease == number else watch.lease
            died = _leader(watch, number, Leader())._replace(lease=lease, crashes=watch.crashes - 1)
            yield Move(("dies", number), FAULT, died)

    def _due(self, watch: Watch) -> bool:
        row = watch.row
        waits = row.queued > 0 and (row.overlap == "allow" or not row.works)
        return waits or row.following is None or row.following <= watch.now

    def _turn(self, watch: Watch, number: int, leader: Leader) -> Iterator[Move]:
        """Do the next thing of a turn by what was read when it began."""
        row, version, slot = watch.row, leader.version, leader.slot
        assert version is not None
        over = Leader(leader.believes)
        after, waiting = self.rules.fire_queued(row, version)
        if waiting is not None:
            yield self._wrote(watch, number, over, after, ("fire queued", number, waiting))
        if slot is None:
            after, done = self.rules.plan(row, version, None, watch.since + 1)
            computed = version if done else watch.computed
            yield self._wrote(
                watch._replace(computed=computed), number, over, after, ("plan", number, watch.since + 1)
            )
        elif slot > leader.until:
            yield Move(("turn over", number), HELPFUL, _leader(watch, number, over))
        elif slot < leader.until - self.scene.catchup:
            following = leader.until - self.scene.catchup
            after, done = self.rules.plan(row, version, slot, following, missed=True)
            then = leader._replace(slot=following) if done else over
            yield self._wrote(watch, number, then, after, ("missed", number, slot, following))
        else:
            yield from self._fire(watch, number, leader)

    def _fire(self, watch: Watch, number: int, leader: Leader) -> Iterator[Move]:
        version, slot = leader.version, leader.slot
        assert version is not None
        assert slot is not None
        late = slot < leader.until
        after, outcome = self.rules.fire(watch.row, version, slot, slot + 1, late=late, now=watch.now)
        then = Leader(leader.believes) if outcome is None else leader._replace(slot=slot + 1)
        yield self._wrote(watch, number, then, after, ("fire", number, slot, outcome))

    def _second_transaction(self, watch: Watch, number: int, leader: Leader) -> Iterator[Move]:
        """What a mutant writes later; the protocol has nothing of the kind."""
        return
        yield

    def _wrote(self, watch: Watch, number: int, leader: Leader, row: Schedule, what: tuple) -> Move:
        return Move(what, HELPFUL, _leader(watch, number, leader)._replace(row=row))


def _leader(watch: Watch, number: int, leader: Leader) -> Watch:
    leaders = watch.leaders
    return watch._replace(leaders=(*leaders[:number], leader, *leaders[number + 1 :]))
