"""Work chosen by what it is like, instead of by its ids."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from tributary_daemon.client import options
from tributary_daemon.client.documents import ErrorDocument
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import ids
from tributary_daemon.model.states import RunState, StepState
from tributary_daemon.store import bulk, dead_letters, fleet, lists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tributary_daemon.client.options import RunAfter, Settings
    from tributary_daemon.store.db import Operation

STATES: Final = tuple(dict.fromkeys([*map(str, RunState), *map(str, StepState)]))
# in the order in which work goes through them, so that what moves on meanwhile is met again
UNFINISHED: Final = ("blocked", "scheduled", "waiting", "paused", "available", "running")
CHANGEABLE: Final = ("scheduled", "waiting", "paused", "available", "running runs")
FAILED: Final = ("failed", "discarded")
_PAGE: Final = 500
_DAY: Final = 86_400.0


class Select(TypedDict, total=False):
    """What work is like that is to be steered; what is absent or None restricts nothing.

    Attributes:
        state: as shown; without it those states in which the request makes sense.
        kind: ``run`` or ``intent``.
        name: of the workflow or intent; ``%`` stands for any text.
        labels: all of these; only runs have labels.
        queue: of the intent; runs have none of their own.
        since: created at or after this time, or within this duration.
        until: created before this time, or longer ago than this duration.
        error: text in the type or message of an error, whatever its case.
        limit: at most so many.
    """

    state: str | None
    kind: str | None
    name: str | None
    labels: Mapping[str, str] | None
    queue: str | None
    since: RunAfter | None
    until: RunAfter | None
    error: str | None
    limit: int | None


class Chosen(NamedTuple):
    """One that fits, as shown in a sample."""

    aim: bulk.Aim
    kind: str
    name: str
    state: str
    created_at: datetime

    @property
    def ref(self) -> str:
        """Its id, or RUN/STEP."""
        return self.aim.work_id if self.aim.step is None else f"{self.aim.work_id}/{self.aim.step}"


@dataclass(slots=True)
class Choice:
    """Pages of what fits, one after the other; what is created after it began is never met.

    Attributes:
        ended: there are no more pages.
        until: only what was created before; known once it has begun.
    """

    given: Select
    settings: Settings
    letters: bool
    states: Sequence[str]
    ended: bool = False
    _since: float | datetime | None = None
    until: datetime | None = None
    _cursor: Any = None
    _place: int = 0
    _name: re.Pattern[str] | None = None
    _filter: lists.Filter = field(default_factory=lists.Filter)

    def begin(self) -> Operation[None]:
        """Read the database's time, to which all durations refer.

        Raises:
            InvalidInput: the selection is malformed.
        """
        now = (yield from fleet.clock()).now
        given = self.given
        since, age = options.due(given.get("since"))
        until, ago = options.due(given.get("until"))
        self.until = until if until is not None else options.before(now, ago or 0.0)
        name = given.get("name")
        if name is not None and "%" in name:
            self._name = re.compile(".*".join(map(re.escape, name.split("%"))), re.DOTALL)
        self._filter = lists.Filter(
            kind=given.get("kind"),
            name=None if self._name else name,
            labels=dict(given.get("labels") or {}),
            since=since if since is not None else None if age is None else options.before(now, age),
            tenant=self.settings.sees,
            limit=_PAGE,
        )
        self._restart()

    def _restart(self) -> None:
        self._cursor = None
        if self.letters or self.until is None or self.given.get("until") is None:
            return
        # ids grow with the time of whoever made them, give or take a day
        self._cursor = ids.first_id(self.until.timestamp() + _DAY)

    def page(self) -> Operation[list[Chosen]]:
        """Return the next page: maybe empty, though there are more."""
        return (yield from (self._letters() if self.letters else self._work()))

    def _work(self) -> Operation[list[Chosen]]:
        if self._place >= len(self.states):
            self.ended = True
            return []
        state, _, runs = self.states[self._place].partition(" ")
        wanted = replace(self._filter, state=state, after=self._cursor)
        rows: list[lists.ListRow] = []
        self._cursor = None
        if not (runs and wanted.kind == "intent"):
            rows, self._cursor = yield from lists.page(replace(wanted, kind="run") if runs else wanted)
        if self._cursor is None:
            self._place += 1
            self._restart()
        queue, error = self.given.get("queue"), self.given.get("error")
        fitting = [
            row
            for row in rows
            if self._named(row.name)
            and (self.until is None or row.created_at < self.until)
            and queue in (None, row.queue)
        ]
        if error is not None and fitting:
            bad = yield from bulk.erring([str(row.work_id) for row in fitting], error)
            fitting = [row for row in fitting if str(row.work_id) in bad]
        return [
            Chosen(bulk.Aim(str(row.work_id)), row.kind, row.name, row.state, row.created_at)
            for row in fitting
        ]

    def _letters(self) -> Operation[list[Chosen]]:
        rows = yield from dead_letters.page(_PAGE, self._cursor, self.settings.sees)
        self.ended = len(rows) < _PAGE
        if rows:
            last = rows[-1]
            self._cursor = dead_letters.After(last.created_at, str(last.run_id), last.ordinal)
        since = self._filter.since
        if since is not None and rows and rows[-1].created_at < since:
            self.ended = True
        return [
            Chosen(
                bulk.Aim(str(row.run_id), row.step_id, row.ordinal),
                row.kind,
                row.name,
                row.reason,
                row.created_at,
            )
            for row in rows
            if self._fits(row)
        ]

    def _fits(self, row: dead_letters.DeadLetterRow) -> bool:
        given, since = self.given, self._filter.since
        kind = "run" if row.step_id is not None else "intent"
        error = ErrorDocument.from_json(row.error)
        text = given.get("error")
        return (
            self._named(row.name)
            and (self._name is not None or given.get("name") in (None, row.name))
            and given.get("kind") in (None, kind)
            and given.get("queue") in (None, row.queue)
            and (since is None or row.created_at >= since)
            and (self.until is None or row.created_at < self.until)
            and (
                text is None
                or (error is not None and text.lower() in f"{error.type}: {error.message}".lower())
            )
        )

    def _named(self, name: str) -> bool:
        return self._name is None or self._name.fullmatch(name) is not None


def choice(given: Select, settings: Settings, states: Sequence[str], *, letters: bool = False) -> Choice:
    """Return what walks over the work that fits.

    Args:
        given: the selection.
        settings: of the client.
        states: looked through where the selection names none; ``running runs`` is that of runs only.
        letters: dead letters instead of work.

    Raises:
        InvalidInput: an unknown field, state or kind, or one that dead letters do not have.
    """
    unknown = [name for name in given if name not in Select.__annotations__]
    if unknown:
        raise InvalidInput(
            f"unknown filter {unknown[0]!r}", hint=f"known: {', '.join(Select.__annotations__)}"
        )
    state, kind, limit = given.get("state"), given.get("kind"), given.get("limit")
    if state is not None and state not in STATES:
        raise InvalidInput(f"unknown state {state!r}", hint=f"states: {', '.join(STATES)}")
    if kind not in {None, "run", "intent"}:
        raise InvalidInput(f"unknown kind {kind!r}", hint="kinds: run, intent")
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit {limit} is out of range", hint="1 or more")
    if letters and (state is not None or given.get("labels")):
        raise InvalidInput(
            "dead letters have neither states nor labels", hint="choose by name, queue or error"
        )
    return Choice(given, settings, letters, [state] if state is not None else list(states))
