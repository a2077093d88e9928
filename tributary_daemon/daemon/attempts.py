"""How this process runs one lease: its payload resolved, its handler called, its outcome settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.daemon.threads import shield
from tributary_daemon.engine.control import run_control
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.engine.failures import timed_out
from tributary_daemon.engine.inputs import prepare
from tributary_daemon.errors import HandlerTimeout, StepCancelled
from tributary_daemon.handlers.step import Step
from tributary_daemon.model.outcome import Released

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.model.outcome import Outcome


class Attempts:
    """Runs leases with the powers of one process."""

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime

    def run(self, held: Held) -> Outcome | None:
        """Run a sync handler, or a step of the engine's own, in the calling thread."""
        if held.control:
            assert held.facts is not None
            return run_control(held, held.facts)
        # a COMMIT is not to be interrupted: what is raised into this thread stops here
        return self._runtime.settle(held, self._shielded(held))

    async def arun(self, held: Held) -> Outcome | None:
        """Run an async handler in the running loop."""
        refused = self._resolve(held)
        if refused is not None:
            return refused
        assert held.handler is not None
        outcome = await execute_async(held.handler, held, Step(held, self._runtime))
        return await self._runtime.asettle(held, outcome)

    def _shielded(self, held: Held) -> Outcome:
        outcome: Outcome | None = None
        while True:
            try:
                outcome = outcome or self._execute(held)
                shield(held)
            except HandlerTimeout as error:
                outcome = outcome or timed_out(held, error)
            except StepCancelled:
                outcome = outcome or Released("cancelled")
            else:
                return outcome

    def _execute(self, held: Held) -> Outcome:
        refused = self._resolve(held)
        if refused is not None:
            return refused
        assert held.handler is not None
        return execute_sync(held.handler, held, Step(held, self._runtime))

    def _resolve(self, held: Held) -> Outcome | None:
        if held.facts is None or not held.dynamic:
            return None
        payload = prepare(held, held.facts)
        if not isinstance(payload, str):
            return payload
        held.payload = payload
        return None
