"""Random traces of the functions of a schedule, and the judge that allows them or not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model_check.replay import Refused
from tests.model_check.slots import Schedule, Slot, SlotRules
from tests.store import protocol_kit as kit

if TYPE_CHECKING:
    import random

SLOTS = 6
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TARGET = "t.slot.v1"
_WEIGHTS = {
    "fire": 28,
    "fire_queued": 8,
    "plan": 6,
    "time_passes": 16,
    "end": 4,
    "change": 1,
    "pause": 1,
    "resume": 2,
}
_READ = """
select s.version, s.next_slot, s.queued, s.state = 'active',
       (select json_agg(json_build_array(f.slot, f.missed, f.outcome, exists (
                   select from tributary.steps w
                   where w.shard = 0 and w.run_id = f.run_id and w.finished_at is null)
               ) order by f.missed desc, f.slot)
        from tributary.schedule_fires f where f.schedule = s.name),
       (select array_agg(k.key) from tributary.keys k where k.key like 'schedule:' || s.name || ':%%'),
       (select count(*) from tributary.steps w where w.shard = 0 and w.name = %s)
from tributary.schedules s where s.name = %s
"""


class SlotEntry(NamedTuple):
    """One call: what was asked, what was answered, and the schedule afterwards."""

    asked: tuple
    answer: Any
    row: Schedule
    total: int  # how much work was recorded at all


class SlotTrace(NamedTuple):
    """What was done to one schedule."""

    entries: tuple[SlotEntry, ...]


def at(number: int) -> datetime:
    """Return the time of a slot; it is now when that slot is the newest that is due."""
    return BEGIN + (number + 1) * MINUTE


def _number(moment: datetime | str | None) -> int | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return None if moment is None else int((moment - BEGIN) / MINUTE) - 1


class SlotRecorder:
    """Makes calls on a schedule of intents and notes them."""

    def __init__(self, connection, overlap: str) -> None:
        self.connection, self.overlap = connection, overlap
        self.now, self.crons = -1, 0
        self.works: dict[int, Any] = {}
        self.entries: list[SlotEntry] = []
        self._clock()
        self._keep()
        self.note(("add",), None)

    @property
    def row(self) -> Schedule:
        return self.entries[-1].row

    def _clock(self):
        kit.scalar(
            self.connection, "select set_config('tributary.fake_now', %s, true)", at(self.now).isoformat()
        )

    def _keep(self):
        cron = ("* * * * *", "*/1 * * * *")[self.crons % 2]
        sql = "select tributary.schedule_intent('model', %s, %s, overlap => %s)"
        kit.scalar(self.connection, sql, cron, TARGET, self.overlap)

    def note(self, asked, answer):
        """Add what was asked and answered, with what the tables say now."""
        version, following, queued, active, fires, keys, total = self.connection.execute(
            _READ, (TARGET, "model"), prepare=True
        ).fetchone()
        slots = [Slot()] * SLOTS
        for moment, missed, outcome, works in fires or ():
            first = _number(moment)
            for number in range(first, first + max(missed, 1)):
                slots[number] = Slot(outcome, works)
        for key in keys or ():
            number = _number(key.removeprefix("schedule:model:").replace("Z", "+00:00"))
            slots[number] = slots[number]._replace(count=1)
        row = Schedule(self.overlap, tuple(slots), version, _number(following), queued, active)
        self.entries.append(SlotEntry(asked, answer, row, total))
        return answer

    def fire(self, version, slot, late):
        found = self.connection.execute(
            "select outcome, run_id from tributary.fire_schedule('model', %s, %s, %s, null, null, %s, %s)",
            (version, at(slot), late, at(slot + 1), at(slot + 1)),
        ).fetchone()
        if found and found[0] == "fired":
            self.works[slot] = found[1]
        return self.note(("fire", version, slot, late, self.now), found and found[0])

    def fire_queued(self, version):
        found = self.connection.execute(
            "select slot, run_id from tributary.fire_queued('model', %s, null, null)", (version,)
        ).fetchone()
        if found:
            self.works[_number(found[0])] = found[1]
        return self.note(("fire_queued", version), found and _number(found[0]))

    def plan(self, version, slot, following, missed):
        count = following - slot if missed else 0
        done = kit.scalar(
            self.connection,
            "select tributary.plan_schedule('model', %s, %s, %s, %s, %s, %s)",
            version,
            None if slot is None else at(slot),
            at(following),
            at(following),
            count,
            at(following - 1) if missed else None,
        )
        return self.note(("plan", version, slot, following, missed), done)

    def time_passes(self):
        self.now += 1
        self._clock()
        return self.note(("time_passes",), None)

    def end(self, slot):
        kit.scalar(self.connection, "select tributary.cancel(%s)", self.works[slot])
        return self.note(("end", slot), None)

    def change(self):
        self.crons += 1
        self._keep()
        return self.note(("change",), None)

    def pause(self):
        return self.note(("pause",), kit.scalar(self.connection, "select tributary.pause_schedule('model')"))

    def resume(self):
        return self.note(
            ("resume",), kit.scalar(self.connection, "select tributary.resume_schedule('model')")
        )


def record_slots(connection, overlap: str, dice: random.Random, length: int = 12) -> SlotTrace:
    """Make so many random calls, as leaders of all kinds would, roll them back, and return their trace."""
    with connection.transaction(force_rollback=True):
        recorder = SlotRecorder(connection, overlap)
        recorder.plan(1, None, 0, missed=False)
        while len(recorder.entries) <= length:
            word = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            row = recorder.row
            version = row.version if dice.random() < 0.85 else row.version - 1
            following = row.following
            if following is not None and dice.random() < 0.1:
                following = dice.randrange(SLOTS)
            match word:
                case "fire":
                    early = following is not None and following > recorder.now
                    if following is not None and following < SLOTS and (not early or dice.random() < 0.1):
                        recorder.fire(version, following, dice.random() < 0.3)
                case "fire_queued":
                    recorder.fire_queued(version)
                case "plan":
                    # a leader looks only at slots that come after what it knows
                    least = recorder.now + 1 if following is None else following + 1
                    # and one that leaves slots out says so
                    missed = following is not None
                    if least < SLOTS and (not missed or least <= recorder.now):
                        recorder.plan(version, following, least, missed)
                case "time_passes":
                    if recorder.now < SLOTS - 1:
                        recorder.time_passes()
                case "end":
                    if at_work := [number for number, slot in enumerate(row.slots) if slot.works]:
                        recorder.end(dice.choice(at_work))
                case _:
                    getattr(recorder, word)()
        return SlotTrace(tuple(recorder.entries))


def judge_slots(trace: SlotTrace, rules: type[SlotRules] = SlotRules) -> None:
    """Follow a trace through the model.

    Raises:
        Refused: an answer, or what became of the schedule, is none that the model allows.
    """
    row, judged = trace.entries[0].row, rules()
    for number, entry in enumerate(trace.entries[1:], 1):
        row, answer = _asked(judged, row, *entry.asked)
        if answer != entry.answer:
            raise Refused(f"{number}. {entry.asked} answered {entry.answer!r}, the model {answer!r}")
        if row != entry.row:
            raise Refused(f"{number}. {entry.asked}: the schedule is {entry.row}, in the model {row}")
        if sum(slot.count for slot in row.slots) != entry.total:
            raise Refused(f"{number}. {entry.asked}: work was recorded {entry.total} times")


def _asked(rules: SlotRules, row: Schedule, name: str, *given: Any) -> tuple[Schedule, Any]:
    match name:
        case "fire":
            version, slot, late, now = given
            return rules.fire(row, version, slot, slot + 1, late=late, now=now)
        case "fire_queued":
            return rules.fire_queued(row, *given)
        case "plan":
            version, slot, following, missed = given
            return rules.plan(row, version, slot, following, missed=missed)
        case "end":
            return rules.end(row, *given), None
        case "change":
            return rules.change(row), None
        case "pause":
            return rules.pause(row)
        case "resume":
            return rules.resume(row)
        case "time_passes":
            return row, None
    raise Refused(f"the model knows no {name}")
