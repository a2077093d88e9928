"""Values that hooks keep elsewhere: loaded for expressions and handlers, kept where runs store them.

What an expression passes on whole stays as it is stored, and is loaded by the hook of whoever works with it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import codec, events
from tributary_daemon.engine.failures import outcome_of, retried, unfit
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.hook_events import HookFailed
from tributary_daemon.model.control import CLOSING_NAME
from tributary_daemon.model.outcome import Completed, Discarded, Snoozed, Started

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.engine.hooking import Hooks
    from tributary_daemon.handlers.step import StepContext
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.store.contexts import StepFacts

# passed on whole, whatever it is: nothing else stands in the text
_WHOLE: Final = re.compile(r'"\$\{\{\s*(?:steps\.[\w-]+\.result|inputs\.[\w-]+)\s*\}\}"', re.ASCII)
_AGAIN: Final = 15.0


def loaded(held: Held, facts: StepFacts, hooks: Hooks) -> StepFacts:
    """Return the surroundings of a step with what its expressions read into in place."""
    read = _WHOLE.sub("", _text(held, facts))

    def needed(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: hooks.load(held.tenant, value) if name in read else value for name, value in values.items()
        }

    return replace(
        facts, steps=needed(facts.steps), facts=replace(facts.facts, inputs=needed(facts.facts.inputs))
    )


def kept(held: Held, facts: StepFacts, outcome: Outcome, hooks: Hooks) -> Outcome:
    """Return the outcome of a step of the engine's own with its values as they are to be stored."""
    name = str(facts.facts.run["name"])
    if isinstance(outcome, Completed):
        value = codec.loads(outcome.result, what="result")
        stored = hooks.store(name, held.tenant, value)
        return outcome if stored is value else Completed(codec.dumps(stored, what="result"))
    if isinstance(outcome, Started):
        child = codec.loads(outcome.child)
        child["inputs"] = {
            key: hooks.store(child["name"], held.tenant, value) for key, value in child["inputs"].items()
        }
        return Started(codec.dumps(child))
    return outcome


def not_loaded(held: Held, error: Exception) -> Outcome:
    """Return what becomes of a step whose values could not be loaded or kept."""
    if held.handler is not None:
        if isinstance(error, InvalidInput):
            return retried(unfit(error, held, "hook"), error, held)
        return outcome_of(error, held.handler, held)
    if isinstance(error, InvalidInput):
        return Discarded(unfit(error, held, "hook"))
    # steps of the engine's own have no attempts to use up: whatever is away may come back
    events.emit(HookFailed("hooks", "load", held.name, f"{type(error).__qualname__}: {error}"))
    return Snoozed(_AGAIN)


class Loading:
    """The powers of the steps of a process, whose inputs and results hooks may keep elsewhere.

    Args:
        runtime: of the process, asked for all else.
        hooks: of the process.
    """

    def __init__(self, runtime: Any, hooks: Hooks) -> None:
        self._runtime = runtime
        self._hooks = hooks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def context(self, attempt: Any) -> StepContext:
        """Return inputs, results and progress of an attempt, all in place."""
        found: StepContext = self._runtime.context(attempt)
        return replace(
            found,
            inputs=self._hooks.load(attempt.tenant, dict(found.inputs)),
            results=self._hooks.load(attempt.tenant, dict(found.results)),
        )


def _text(held: Held, facts: StepFacts) -> str:
    """Return all that may hold expressions of a step, with the quotes of JSON around each text."""
    plan = facts.facts.plan
    parts = [facts.step, facts.template, dict(plan.env)]
    if held.name == CLOSING_NAME:
        parts.append(plan.result)
    return f"{held.payload}\n{held.options or ''}\n{json.dumps(parts)}"
