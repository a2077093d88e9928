"""Replay: a pure function from a history to what a workflow function asks for next, or what it came to."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.engine.branches import Branches, Halt
from tributary_daemon.engine.commands import IN_PLACE, Command, Ids, failure, without_last_failure
from tributary_daemon.engine.deviations import deviation
from tributary_daemon.errors import InvalidInput, NonDeterminism
from tributary_daemon.handlers.pending import Pending
from tributary_daemon.handlers.step_log import SILENT, Nowhere, logger
from tributary_daemon.handlers.workflow_context import WorkflowContext
from tributary_daemon.model.history import FIRST, Ending, History

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.handlers.step_log import Lines

MOST_EVENTS: Final = 50_000
"""Of a history; what goes on for ever begins anew before (`WorkflowContext.continue_as_new`)."""


class Replay:
    """Drives one workflow function over its history (the protocol `handlers.workflow_context.Journal`).

    Nothing here reads a clock, a database or a random number: equal histories lead to equal commands.

    Args:
        handler: the workflow function.
        arguments: of it, without its context.
        run_id: of the run.
        history: recorded so far.
        at: when this activation began, RFC 3339; the time of a run that begins with it.
        lines: where its log lines go.

    Attributes:
        new: events of this activation.
        number: of the next part of the history.
        status: JSON text of what `set_status` said last in new territory; None for nothing.
        queries: name -> function that answers it.
    """

    def __init__(
        self,
        handler: Handler,
        arguments: Mapping[str, Any],
        *,
        run_id: str,
        history: History,
        at: str,
        lines: Lines | None = None,
    ) -> None:
        self.run_id = run_id
        self.name = handler.name
        self.new: list[dict[str, Any]] = []
        self.number = history.number
        self._kept = 0
        self._closed = False
        self._made = history.made
        self.status: str | None = None
        self.queries: dict[str, Callable[..., Any]] = {}
        self._lines = lines or Nowhere(None)
        self._log: Any = None
        self._recorded: Sequence[Mapping[str, Any]] = history.events
        self._endings = history.endings
        self._commands: list[Command] = []
        self._by_ordinal: dict[int, Command] = {}
        self._doing: dict[int, Command] = {}
        self._ids = Ids("main")
        self._position = 0
        self._next_ordinal = FIRST
        self._branches = Branches()
        self.continued = 0
        self._begin(at)
        self._patches: dict[str, bool] = {}
        noted = {event["ordinal"] for event in history.events if event["type"] == "ended"}
        self._done = {event["n"] for event in history.events if event["type"] == "did"}
        self._arrivals = deque(
            sorted((o for o in history.endings if o not in noted), key=lambda o: (history.endings[o].at, o))
        )
        self.random = Random(f"{run_id}/{self.continued}")  # noqa: S311 - equal in every replay, no secret
        self._arguments = dict(arguments)
        if handler.signature.step_name is not None:
            self._arguments[handler.signature.step_name] = WorkflowContext(self)
        self._main = self._branches.add(handler.function(**self._arguments))

    def _begin(self, at: str) -> None:
        """Read the first events, or make them."""
        if self._recorded and self._recorded[0]["type"] == "continued":
            self.continued = self._recorded[0]["count"]
            self._next_ordinal = self._recorded[0]["first"]
            self._position = 1
        if self._position < len(self._recorded):
            event = self._recorded[self._position]
            if event["type"] != "began":
                raise NonDeterminism(f"a history begins with {event['type']!r}", hint="it is damaged")
            at = event["at"]
            self._position += 1
        else:
            self.new.append({"type": "began", "at": at})
        self._now = datetime.fromisoformat(at)

    @property
    def now(self) -> datetime:
        """The time of the last event."""
        return self._now

    @property
    def replaying(self) -> bool:
        """Whether what happens now has happened before: nothing has come in this activation yet."""
        return self._closed or not self.new

    @property
    def _ahead(self) -> bool:
        """Whether there are recorded events ahead."""
        return self._position < len(self._recorded)

    @property
    def log(self) -> Any:
        """The logger of the run; silent in a replay."""
        if self.replaying:
            return SILENT
        if self._log is None:
            self._log = logger(self.name, self._lines)
        return self._log

    @property
    def ended(self) -> bool:
        """Whether the function has returned or raised."""
        return self._main.done

    @property
    def begins_anew(self) -> Anew | None:
        """The inputs with which it begins anew, if it has asked for that."""
        return self._branches.halted if isinstance(self._branches.halted, Anew) else None

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        if (error := self._main.error) is not None:
            # here: records leave out the engine's frames, and behind them stand those of the function
            raise error
        return self._main.result()

    def unheard(self) -> list[BaseException]:
        """Return what branches have raised that nobody has awaited; for who has asked for the result."""
        return self._branches.unheard()

    def advance(self) -> None:
        """Go on until the function ends or waits for what has not come.

        Raises:
            NonDeterminism: the function does not do what is recorded.
        """
        while True:
            self._branches.run()
            halted = self._branches.halted
            if isinstance(halted, _Deviates):
                raise halted.error
            if halted is not None or self._main.done:
                if self._ahead:
                    raise self._deviates("it ended" if halted is None else "it begins anew")
                return
            if self._ahead:
                event = self._recorded[self._position]
                if event["type"] not in ("ended", "did"):
                    raise self._deviates("it waits")
                self._position += 1
                self._deliver(event)
            elif not self._arrived():
                return

    def _arrived(self) -> bool:
        """Deliver the next of what has ended since the last activation."""
        while self._arrivals:
            ordinal = self._arrivals.popleft()
            command = self._by_ordinal.get(ordinal)
            if command is None:
                raise self._deviates(f"it has not asked for step {ordinal}, which has ended")
            ending = self._endings[ordinal]
            told = {"n": command.number, "ordinal": ordinal, "state": ending.state, "at": ending.at}
            event = {"type": "ended", **told}
            self._record(event)
            self._deliver(event)
            return True
        return False

    def done(
        self, command: Command, at: str, *, result: Any = None, error: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the event of what was done in place."""
        told = {"result": result} if error is None else {"error": dict(error)}
        return {"type": "did", "n": command.number, "at": at, **told}

    def note(self, event: dict[str, Any]) -> None:
        """Take note of the event of what was done in place, and deliver it."""
        self._record(event)
        self._deliver(event)

    def did(
        self, command: Command, at: str, *, result: Any = None, error: Mapping[str, Any] | None = None
    ) -> None:
        """Take note of what was done in place."""
        self.note(self.done(command, at, result=result, error=error))

    def in_place(self) -> list[Command]:
        """Return what is to be done in place."""
        return list(self._doing.values())

    def asks(self) -> list[dict[str, Any]]:
        """Return the steps that were asked for and do not exist yet."""
        return [c.ask() for c in self._commands if c.ordinal is not None and c.ordinal >= self._made]

    def open(self) -> list[int]:
        """Return the ordinals of all steps whose end the function has not taken note of."""
        return [c.ordinal for c in self._commands if c.ordinal is not None and not c.ended]

    def unmet(self) -> int:
        """Return how many of the open steps have to end until the function can go on.

        All of a gather, where nothing else is waited for; else any of them may let it go on.
        """
        waiting = self._branches.waiting
        open_ = {id(c.pending) for c in self._commands if not c.ended}
        if len(waiting) == 1 and waiting[0].waits_for:
            parts = {id(part) for part in waiting[0].waits_for if not part.done}
            if parts == open_:
                return len(parts)
        return 1

    def left(self) -> tuple[int, ...]:
        """Return the ordinals of steps that were still open when the function ended: nobody awaits them."""
        return tuple(ordinal for ordinal in self.open() if ordinal < self._made)

    def ending_events(self) -> list[dict[str, Any]]:
        """Return what of `new` is to be recorded of a function that has failed."""
        return without_last_failure(self.to_keep())

    def to_keep(self) -> list[dict[str, Any]]:
        """Return what of `new` is still to be recorded."""
        return self.new[self._kept :]

    def kept(self) -> None:
        """What was to be recorded is."""
        self._kept = len(self.new)
        self.number += 1

    def close(self) -> None:
        """Forget the coroutines; what their ``finally`` blocks say is not kept."""
        self._closed = True
        self._branches.close()

    # what a context asks

    def ask(
        self, kind: str, name: str, *, step_id: str | None, convert: Callable[[Any], Any] | None,
        payload: Callable[[], Any] | None = None, options: Mapping[str, Any] | None = None,
        terms: Mapping[str, Any] | None = None,
    ) -> Pending[Any]:  # fmt: skip
        """Ask for something: it is recorded, or it is what is recorded.

        ``payload`` is made where it is needed: not for what a replay knows to be made, or done.
        """
        self._check(f"{kind} {name}")
        self._ids.refuse(step_id)
        number = len(self._commands) + 1
        if self._ahead:
            event = self._recorded[self._position]
            if (event["type"], event.get("kind"), event.get("name")) != ("asked", kind, name) or (
                step_id is not None and event["id"] != step_id
            ):
                self._halt(
                    self._deviates(f"it asks for {kind} {name}" + (f" as {step_id}" if step_id else ""))
                )
            self._position += 1
            found, ordinal = event["id"], event.get("ordinal")
            self._ids.take(found)
            wanted = number not in self._done if ordinal is None else ordinal >= self._made
            given = payload() if wanted and payload is not None else None
        else:
            given = None if payload is None else payload()
            found = self._ids.give(step_id, name)
            ordinal = None if kind in IN_PLACE else self._next_ordinal
            event = {"type": "asked", "n": number, "kind": kind, "name": name, "id": found}
            self._record(event if ordinal is None else {**event, "ordinal": ordinal})
        command = Command(number, kind, name, found, ordinal, Pending(convert), given, options, terms)
        self._commands.append(command)
        if ordinal is None:
            self._doing[number] = command
        else:
            self._by_ordinal[ordinal] = command
            self._next_ordinal = ordinal + 1
        return command.pending

    def branch(self, coroutine: Coroutine[Any, Any, Any]) -> Pending[Any]:
        """Begin a branch of its own."""
        return self._branches.add(coroutine)

    def patched(self, patch: str) -> bool:
        """Whether what a patch changes is done: yes in new territory, as recorded in old."""
        self._check(f"the patch {patch}")
        if patch not in self._patches:
            # what was decided once holds for the run
            self._patches[patch] = True
            if not self._ahead:
                self._record({"type": "patched", "id": patch})
            elif self._recorded[self._position] == {"type": "patched", "id": patch}:
                self._position += 1
            else:
                self._patches[patch] = False
        return self._patches[patch]

    def undo(self, name: str, payload: Callable[[], Any]) -> None:
        """Register what undoes something."""
        self._check(f"the undo {name}")
        if self._ahead:
            event = self._recorded[self._position]
            if (event["type"], event.get("name")) != ("undo", name):
                self._halt(self._deviates(f"it registers {name} for a failure"))
            self._position += 1
            self._ids.take(event["id"])
            return
        given = payload()
        found = self._ids.give(None, name)
        self._record({"type": "undo", "id": found, "name": name, "payload": given})

    def set_status(self, status: str) -> None:
        """Keep what the function says of itself, unless that is kept already."""
        if not self.replaying:
            self.status = status

    def answer(self, query: str, function: Callable[..., Any]) -> None:
        """Keep what answers a query."""
        self.queries[query] = function

    def begin_anew(self, inputs: Any) -> BaseException:
        """Return what ends this history."""
        return Anew(inputs)

    def _check(self, what: str) -> None:
        if self._branches.halted is not None:
            raise self._branches.halted
        if self._position + len(self.new) >= MOST_EVENTS:
            raise InvalidInput(
                f"{what}: the history of run {self.run_id} has {MOST_EVENTS:,} events, and may not have more",
                hint="begin anew before: raise ctx.continue_as_new(…)",
            )

    def _halt(self, error: NonDeterminism) -> None:
        halt = _Deviates(error)
        self._branches.halted = halt
        raise halt

    def _record(self, event: dict[str, Any]) -> None:
        self.new.append(event)

    def _deliver(self, event: Mapping[str, Any]) -> None:
        number = event["n"]
        if not 0 < number <= len(self._commands):
            raise self._deviates(f"it has asked for {len(self._commands)} things by then")
        command = self._commands[number - 1]
        self._now = max(self._now, datetime.fromisoformat(event["at"]))
        command.ended = True
        self._doing.pop(number, None)
        if event["type"] == "did":
            ending = Ending(
                "discarded" if "error" in event else "completed",
                event["at"],
                event.get("result"),
                event.get("error"),
            )
        else:
            ending = self._endings.get(event["ordinal"], Ending(event["state"], event["at"]))
        if ending.state == "completed":
            command.pending.settle(ending.result)
        else:
            command.pending.settle(error=failure(command, ending))

    def _deviates(self, what: str) -> NonDeterminism:
        asked = [f"{command.kind} {command.name}" for command in self._commands]
        return deviation(self.name, self._recorded, self._position, asked, what)


class Anew(Halt):
    """The function begins anew with other inputs."""

    def __init__(self, inputs: Any) -> None:
        super().__init__("begins anew")
        self.inputs = inputs


class _Deviates(Halt):
    def __init__(self, error: NonDeterminism) -> None:
        super().__init__(str(error))
        self.error = error
