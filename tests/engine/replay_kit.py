"""A world for workflow functions without a database: what they ask for ends when a test says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from tributary_daemon import handler
from tributary_daemon.engine.replay import Replay
from tributary_daemon.handlers.registry import REGISTRY, Handler
from tributary_daemon.handlers.workflow_context import WorkflowContext
from tributary_daemon.model.history import Ending, History

START = datetime(2026, 3, 1, tzinfo=UTC)


def function(body, name="t.flow.v1"):
    """Return the handler that a workflow function is."""
    return Handler(name=name, declared=body, is_async=True, durable=True, gives=WorkflowContext)


class World:
    """Runs one workflow function, activation by activation, as a worker and a database would.

    Attributes:
        events: recorded so far.
        open: ordinal -> what was asked for and has not ended.
        calls: what was done in place.
    """

    def __init__(self, handler, **arguments):
        self.handler = handler
        self.arguments = arguments
        self.events = []
        self.endings = {}
        self.open = {}
        self.calls = []
        self.made = 3
        self.time = START
        self.result = None
        self.error = None
        self.ended = False

    def history(self):
        return History(json.loads(json.dumps(self.events)), dict(self.endings), 1, self.made)

    def replay(self, history=None):
        return Replay(
            self.handler, self.arguments, run_id="run", history=history or self.history(), at=self.now()
        )

    def now(self):
        self.time += timedelta(seconds=1)
        return self.time.isoformat()

    def activate(self):
        """One activation; what it asks for in place is done at once, by calling it."""
        replay = self.replay()
        replay.advance()
        while not replay.ended and (pending := replay.in_place()):
            command = pending[0]
            self.calls.append(command.name)
            try:
                result = REGISTRY.get(command.name).function(**json.loads(command.payload))
            except Exception as error:  # noqa: BLE001 - as the engine does
                replay.did(command, self.now(), error={"type": type(error).__name__, "message": str(error)})
            else:
                replay.did(command, self.now(), result=result)
            replay.advance()
        for ask in replay.asks():
            assert ask["ordinal"] == self.made
            self.open[self.made] = ask
            self.made += 1
        if replay.ended:
            self.ended = True
            try:
                self.result = replay.result()
            except Exception as error:  # noqa: BLE001 - told apart by the test
                self.error = error
                self.events += replay.ending_events()
            else:
                self.events += replay.to_keep()
        else:
            self.events += replay.to_keep()
        replay.close()
        return replay

    def end(self, ordinal, result=None, *, state="completed", **error):
        """A step ends."""
        self.open.pop(ordinal)
        self.endings[ordinal] = Ending(state, self.now(), result, error or None)


class Answer(BaseModel):
    good: bool
    amount: int = 0


def double(x: int) -> int:
    return 2 * x


def answer(good: bool) -> Answer:
    return Answer(good=good)


def declare():
    """Declare the handlers that tests of replays call."""
    handler("t.double.v1")(double)
    handler("t.answer.v1")(answer)
