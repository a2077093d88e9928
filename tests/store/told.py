"""A client that waits for everything, and holds the functions to it: whatever ends is told."""

from __future__ import annotations

from uuid import uuid4

from tests.store import protocol_kit as kit
from tributary_daemon.store import ends

_ENDED = """
    select run_id::text, finished_at::text from tributary.runs where finished_at is not null
    union all
    select run_id::text, finished_at::text from tributary.steps
    where kind = 'intent' and finished_at is not null
"""


class Told:
    """Listens on a connection to the ends of all runs and intents that are recorded from now on."""

    def __init__(self, connection):
        self._connection = connection
        self.waiter = uuid4()
        self._heard = []
        self._known = {}
        connection.add_notify_handler(lambda note: self._heard.append((note.channel, note.payload)))
        connection.execute(f"listen {ends.channel(self.waiter)}")
        assert kit.answer(connection, ends.register(self.waiter, [], []))
        connection.execute(f"""
            create function public.wait_for_it() returns trigger language plpgsql as $$
            begin
                insert into tributary.awaited (run_id, waiter_id, shard)
                values (new.run_id, '{self.waiter}', new.shard);
                return null;
            end $$;
            create trigger runs_awaited after insert on tributary.runs for each row
                execute function public.wait_for_it();
            create trigger intents_awaited after insert on tributary.steps for each row
                when (new.kind = 'intent') execute function public.wait_for_it();
        """)

    def heard(self):
        """Return the ids that were told since the last call, one by one as they came."""
        notes, self._heard[:] = list(self._heard), []
        assert {channel for channel, _ in notes} <= {ends.channel(self.waiter)}
        return [work_id for _, payload in notes for work_id in payload.split()]

    def check(self):
        """Hold that what has ended since the last call, once or once more, was told."""
        ended = dict(self._connection.execute(_ENDED).fetchall())
        heard = set(self.heard())
        missed = [
            work_id
            for work_id, at in ended.items()
            if self._known.get(work_id) != at and work_id not in heard
        ]
        self._known = ended
        assert missed == []
