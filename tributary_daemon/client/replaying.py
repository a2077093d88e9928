"""Workflow functions looked at from outside: their histories, replays that check new code, queries."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tributary_daemon import codec
from tributary_daemon.client.reading import missing, resolve_id
from tributary_daemon.engine.functions import replayed
from tributary_daemon.errors import InvalidInput, NonDeterminism, NotPossible
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.model.history import History
from tributary_daemon.sealing.box import Hidden
from tributary_daemon.store import histories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.engine.replay import Replay
    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.histories import FunctionRun

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run of a workflow function with all that a replay needs: as files of ``trib replay --save`` hold it.

    Attributes:
        id: of the run.
        name: of the workflow function.
        inputs: of the run.
        history: of it.
    """

    id: str
    name: str
    inputs: Any
    history: History

    def to_json(self) -> dict[str, Any]:
        """Return it as a file holds it."""
        return {"id": self.id, "name": self.name, "inputs": self.inputs, **self.history.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RecordedRun:
        """Rebuild from `to_json`.

        Raises:
            InvalidInput: it is none.
        """
        try:
            history = History.from_json(value)
            return cls(id=value["id"], name=value["name"], inputs=value["inputs"], history=history)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"this is no recorded history: {type(error).__name__}: {error}",
                hint="write one: trib replay ID --save FILE",
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a replay says of the code of this process.

    Attributes:
        id: of the run.
        name: of the workflow function.
        events: in its history.
        fits: whether the code does what the history says.
        comes_to: ``ends``, ``waits`` or ``begins anew``, beyond the history; None where it does not fit.
        error: how it deviates; None where it fits.
    """

    id: str
    name: str
    events: int
    fits: bool
    comes_to: str | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``trib replay -o json`` prints it."""
        return {
            "id": self.id,
            "name": self.name,
            "events": self.events,
            "fits": self.fits,
            "comes_to": self.comes_to,
            "error": self.error,
        }


def recorded(work_id: str) -> Operation[RecordedRun]:
    """Read a run of a workflow function with its history.

    Raises:
        NotFound: there is no such run.
        NotPossible: it is not one of a workflow function.
        EncryptionError: it cannot be decrypted here.
    """
    work_id = yield from resolve_id(work_id)
    found = yield from _function(work_id)
    if isinstance(found.inputs, Hidden):
        raise found.inputs.error
    history = yield from histories.read(work_id)
    return RecordedRun(id=work_id, name=found.handler, inputs=found.inputs, history=history)


def status(work_id: str) -> Operation[Any]:
    """Read what a workflow function says of itself (`WorkflowContext.set_status`); None for nothing.

    Raises:
        NotFound: there is no such run.
        NotPossible: it is not one of a workflow function.
    """
    return (yield from _function((yield from resolve_id(work_id)))).status


def _function(work_id: str) -> Operation[FunctionRun]:
    found = yield from histories.function(work_id)
    if found is None:
        raise missing(work_id)
    if not found.is_function:
        raise NotPossible(
            f"run {work_id} is of {found.name}, which is no workflow function",
            hint="only functions declared by @workflow have a history to be replayed",
        )
    return found


def replay(run: RecordedRun) -> Verdict:
    """Replay a run with the code of this process; nothing is written, nothing is done.

    Raises:
        NotFound: this process has no workflow function of that name.
        InvalidInput: the inputs do not fit it.
    """
    handler = REGISTRY.get(run.name)
    if not handler.durable:
        raise InvalidInput(
            f"{run.name} is a handler, no workflow function", hint="import the module that has it"
        )
    count = len(run.history.events)
    try:
        comes_to = _replayed(run, handler, _comes_to)
    except NonDeterminism as error:
        return Verdict(id=run.id, name=run.name, events=count, fits=False, error=error.message)
    return Verdict(id=run.id, name=run.name, events=count, fits=True, comes_to=comes_to)


def _replayed(run: RecordedRun, handler: Handler, look: Callable[[Replay], T]) -> T:
    return asyncio.run(replayed(handler, json.dumps(run.inputs), run.id, run.history, look))


def _comes_to(replay: Replay) -> str:
    return "begins anew" if replay.begins_anew is not None else "ends" if replay.ended else "waits"


def ask(run: RecordedRun, query: str, arguments: Mapping[str, Any]) -> Any:
    """Ask a query handler of a workflow function, after a replay in this process.

    Args:
        run: with its history.
        query: name that ``ctx.on_query`` gave.
        arguments: of the query.

    Returns:
        its answer, as JSON has it.

    Raises:
        NotFound: this process has no workflow function of that name.
        NonDeterminism: the code here does not fit the history.
        InvalidInput: there is no such query, or it refuses the arguments.
    """
    handler = REGISTRY.get(run.name)

    def answer(replay: Replay) -> Any:
        if query not in replay.queries:
            known = ", ".join(sorted(replay.queries)) or "none"
            raise InvalidInput(f"{run.name} answers no query {query!r}", hint=f"it answers: {known}")
        try:
            return replay.queries[query](**arguments)
        except Exception as error:
            raise InvalidInput(f"the query {query!r} failed: {type(error).__name__}: {error}") from error

    return codec.loads(codec.dumps(_replayed(run, handler, answer), what="answer"))
