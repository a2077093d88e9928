"""A leader's hands for tests of schedules: its scheduler, and the clock that it looks at."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.store import protocol_kit as kit
from tributary_daemon import events
from tributary_daemon.daemon.scheduler import Scheduler

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTELY = "* * * * *"


class Leader:
    """A scheduler with the clock in its hands."""

    def __init__(self, connection):
        self.sql = connection
        self.scheduler = Scheduler()
        self.heard = []
        self.at(NOON)

    def at(self, now):
        self.now = now
        self.sql.execute("select set_config('tributary.fake_now', %s, false)", (now.isoformat(),))

    def passes(self, **span):
        """Let time pass and take a turn."""
        self.at(self.now + timedelta(**span))
        return self.turn()

    def turn(self):
        """Fire all that is due now."""
        for _ in range(100):
            if self.scheduler.turn(self.sql) == 0:
                break
        else:
            raise AssertionError("the leader comes to no end")

    def intent(self, name="s", cron=MINUTELY, **options):
        given = "".join(f", {key} => %({key})s" for key in options)
        row = self.sql.execute(
            f"select tributary.schedule_intent(%(name)s, %(cron)s, %(intent)s{given})",
            {"name": name, "cron": cron, "intent": kit.NAME, **options},
        ).fetchone()
        return row[0]

    def fires(self, name="s"):
        """Return (slot, outcome) oldest first."""
        rows = self.sql.execute(
            "select slot, outcome from tributary.schedule_fires where schedule = %s order by slot, missed",
            (name,),
        ).fetchall()
        return [(row[0].astimezone(UTC).strftime("%H:%M"), row[1]) for row in rows]

    def fired(self, name="s"):
        return [slot for slot, outcome in self.fires(name) if outcome == "fired"]

    def row(self, name="s"):
        names = "state, error, fired, missed, queued"
        return self.sql.execute(
            f"select {names} from tributary.schedules where name = %s", (name,)
        ).fetchone()

    def end(self, count=None):
        """End what runs or waits to run, oldest first."""
        self.sql.execute(
            "update tributary.steps set state = 'completed', finished_at = tributary.clock() where run_id in"
            " (select run_id from tributary.steps where state = 'available' order by run_at limit %s)",
            (count,),
        )

    def told(self):
        """Return the names of the events since the last call."""
        names = [type(event).__name__ for event in self.heard]
        self.heard.clear()
        return names


@contextmanager
def schedule_leader(connection):
    """Give a leader that hears what is emitted meanwhile."""
    kit.offer(connection)
    made = Leader(connection)
    detach = events.attach(made.heard.append)
    try:
        yield made
    finally:
        detach()
