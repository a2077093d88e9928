"""Producers: they submit what is planned, and note what they were told of it."""

from __future__ import annotations

import threading
import time
from queue import Empty, PriorityQueue
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from chaos.history import Act, Submission
from tributary_daemon import Client, TributaryError
from tributary_daemon.errors import DatabaseError, NotFound, NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.plan import Planned

_SIDE_BY_SIDE = 3
_PAUSE = 0.3
_PAUSED = 2.0
_SUBMIT = "select id::text from tributary.submit(%s, %s)"


class Producers:
    """Some threads that work a plan off.

    Args:
        url: the database.
        planned: what to submit.
        begin: the monotonic time of the plan's zero.

    Attributes:
        submissions: what they know.
        acts: the same of what operators do.
        refused: what was refused although nothing is wrong with it.
    """

    def __init__(self, url: str, planned: tuple[Planned, ...], begin: float) -> None:
        self._url = url
        self._begin = begin
        self._todo: PriorityQueue[tuple[float, int, Callable[[Client], None]]] = PriorityQueue()
        for one in planned:
            self._later(one.at, lambda client, one=one: self._submit(client, one))  # type: ignore[misc]
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._busy = 0
        self.submissions: list[Submission] = []
        self.acts: list[Act] = []
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_SIDE_BY_SIDE)]

    def start(self) -> None:
        """Start them."""
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float) -> None:
        """Wait until all is submitted.

        Raises:
            RuntimeError: that takes longer than so many seconds.
        """
        deadline = time.monotonic() + seconds
        while self._todo.qsize() or self._busy:
            if time.monotonic() > deadline:
                raise RuntimeError(f"submits are not answered, {seconds:g} s after the last fault")
            time.sleep(0.1)
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _later(self, at: float, act: Callable[[Client], None]) -> None:
        self._todo.put((at, id(act), act))

    def _work(self) -> None:
        client = Client(self._url)
        with client:
            while not self._end.is_set():
                with self._lock:
                    try:
                        at, _, act = self._todo.get_nowait()
                    except Empty:
                        at, act = 0.0, None
                    self._busy += act is not None
                if act is None:
                    self._end.wait(0.1)
                    continue
                self._end.wait(max(0.0, self._begin + at - time.monotonic()))
                try:
                    act(client)
                finally:
                    with self._lock:
                        self._busy -= 1

    def _submit(self, client: Client, planned: Planned) -> None:
        key = f"chaos:{planned.number}" if planned.way == "key" else None
        fate: Literal["acknowledged", "unknown", "rolled_back"] = "acknowledged"
        found = None
        if key is not None:
            try:
                found = self._insist(client, planned, key)
            except TributaryError as error:
                self.refused.append(f"submission {planned.number} ({planned.name}) was refused: {error}")
                return
        else:
            try:
                found, fate = self._in_sql(planned)
            except psycopg.OperationalError:
                fate = "unknown"
            except psycopg.Error as error:
                self.refused.append(f"submission {planned.number} ({planned.name}) was refused: {error}")
                return
        self.submissions.append(Submission(planned.number, planned.name, fate, found, key))
        if found is not None and fate == "acknowledged":
            for what, after in planned.acts:
                self._plan_act(what, found, after)

    def _plan_act(self, what: str, found: str, after: float) -> None:
        at = time.monotonic() - self._begin + after
        self._later(at, lambda client: self._act(client, what, found))

    def _insist(self, client: Client, planned: Planned, key: str) -> str:
        while True:
            try:
                options: Any = planned.options
                return client.submit(planned.name, planned.payload, idempotency_key=key, **options).id
            except DatabaseError:
                # whether it was recorded or not: the key makes it the same work
                if self._end.wait(_PAUSE):
                    raise

    def _in_sql(self, planned: Planned) -> tuple[str, Literal["acknowledged", "rolled_back"]]:
        alone = planned.way == "plain"
        with psycopg.connect(
            self._url, autocommit=alone, connect_timeout=5, application_name="chaos producer"
        ) as connection:
            row = connection.execute(_SUBMIT, (planned.name, Jsonb(planned.payload))).fetchone()
            assert row is not None
            if planned.way == "rolled_back":
                connection.rollback()
                return str(row[0]), "rolled_back"
        return str(row[0]), "acknowledged"

    def _act(self, client: Client, what: str, found: str) -> None:
        fate: Literal["acknowledged", "refused", "unknown"] = "acknowledged"
        try:
            getattr(client, what)(found)
        except (NotPossible, NotFound):
            # it has ended, or not yet; only runs are paused
            fate = "refused"
        except DatabaseError:
            fate = "unknown"
        self.acts.append(Act(found, what, fate))
        if (what == "pause" and fate != "refused") or (what == "resume" and fate == "unknown"):
            # paused work does not end: this is tried until it is answered
            self._plan_act("resume", found, _PAUSED if what == "pause" else _PAUSE)
