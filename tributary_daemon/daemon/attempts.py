"""How this process runs one lease: its payload resolved, its handler called, its outcome settled."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tributary_daemon.config.secrets import Secrets
from tributary_daemon.daemon.caching import is_cached
from tributary_daemon.daemon.functions import Functions
from tributary_daemon.daemon.kept import Loading, kept, loaded, not_loaded
from tributary_daemon.daemon.threads import shield
from tributary_daemon.engine.control import run_control
from tributary_daemon.engine.executor import execute_async, execute_sync
from tributary_daemon.engine.failures import retried, timed_out, unfit
from tributary_daemon.engine.inputs import prepare
from tributary_daemon.engine.pool import Pool
from tributary_daemon.errors import HandlerTimeout, SecretMissing, StepCancelled
from tributary_daemon.handlers.step import Step
from tributary_daemon.model.control import WORKFLOW_NAME
from tributary_daemon.model.masking import Mask
from tributary_daemon.model.outcome import Completed, Released

if TYPE_CHECKING:
    from tributary_daemon.daemon.caching import Caching
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.engine.hooking import Hooks
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.store.contexts import StepFacts


class Attempts:
    """Runs leases with the powers of one process.

    Attributes:
        pool: the resources of the process.

    Args:
        runtime: serves `Step`.
        secrets: of the worker; those of its environment unless given.
        pool: an empty one if omitted.
        caching: the step cache; None to run each step.
        hooks: of the process; None for none.
    """

    def __init__(
        self,
        runtime: ProcessRuntime,
        secrets: Secrets | None = None,
        pool: Pool | None = None,
        caching: Caching | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self._runtime = runtime
        self._caching = caching
        self._functions = Functions(runtime)
        self._secrets = secrets or Secrets()
        self._hooks = hooks
        # hooks that keep values elsewhere; None for none
        self._keeping = hooks if hooks is not None and hooks.keep else None
        self._powers: Any = runtime if self._keeping is None else Loading(runtime, self._keeping)
        self.pool = Pool() if pool is None else pool

    def run(self, held: Held) -> Outcome | None:
        """Run a sync handler, or a step of the engine's own, in the calling thread."""
        if held.control:
            assert held.facts is not None
            if self._keeping is not None:
                return self._run_kept(held, held.facts, self._keeping)
            return self._control(held, held.facts)
        # a COMMIT is not to be interrupted: what is raised into this thread stops here
        outcome = self._shielded(held)
        written = self._runtime.settle(held, outcome)
        if held.cache_key is not None:
            self.keep(held, outcome, written)
        return written

    async def arun(self, held: Held) -> Outcome | None:
        """Run an async handler in the running loop."""
        refused = self.resolve(held) if self._keeping is None else await asyncio.to_thread(self.resolve, held)
        if refused is None and held.cache_key is not None and self._caching is not None:
            refused = await self._caching.alook(held)
        if refused is not None:
            return refused
        assert held.handler is not None
        if held.durable:
            return await self._functions.run(held, self.pool)
        chain = None if self._hooks is None else self._hooks.of(held.handler)
        outcome = await execute_async(held.handler, held, Step(held, self._powers), self.pool, chain)
        written = await self._runtime.asettle(held, outcome)
        if held.cache_key is not None:
            await self._akeep(held, outcome, written)
        return written

    async def arun_alone(self, held: Held) -> Outcome | None:
        """Run an async handler in a loop that ends with it, and so does what is open in that loop."""
        try:
            return await self.arun(held)
        finally:
            if self.pool.needs_loop:
                await self.pool.aclose(asyncio.get_running_loop())

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
        # most have neither expressions nor a cache: not even a call for them
        if (held.facts is not None or held.cache_key is not None) and (
            refused := self.prepare(held)
        ) is not None:
            return refused
        assert held.handler is not None
        chain = None if self._hooks is None else self._hooks.of(held.handler)
        return execute_sync(held.handler, held, Step(held, self._powers), self.pool, chain)

    def _control(self, held: Held, facts: StepFacts) -> Outcome:
        outcome = run_control(held, facts)
        if held.name == WORKFLOW_NAME and self._caching is not None:
            return self._caching.child(held, facts, outcome)
        return outcome

    def _run_kept(self, held: Held, facts: StepFacts, hooks: Hooks) -> Outcome:
        try:
            return kept(held, facts, self._control(held, loaded(held, facts, hooks)), hooks)
        except Exception as error:  # noqa: BLE001 - hooks are user code
            return not_loaded(held, error)

    def prepare(self, held: Held) -> Outcome | None:
        """Do what `resolve` does, and look whether the result is in the cache."""
        refused = self.resolve(held)
        if refused is None and held.cache_key is not None and self._caching is not None:
            return self._caching.look(held)
        return refused

    def keep(self, held: Held, outcome: Outcome | None, written: Outcome | None) -> None:
        """Keep the result of an attempt for others, or let one of them make it.

        What the attempt commits itself is kept after that, all else before it is written: whoever finds that
        the attempt has ended finds its result, too.

        Args:
            held: of the attempt; with a key.
            outcome: what its handler led to.
            written: what `ProcessRuntime.settle` made of it; None where that is written.
        """
        if written is None and isinstance(outcome, Completed):
            held.made = outcome.result
        if self._caching is not None:
            self._caching.keep(held, outcome if written is None else written)

    async def _akeep(self, held: Held, outcome: Outcome, written: Outcome | None) -> None:
        if written is None and isinstance(outcome, Completed):
            held.made = outcome.result
        if self._caching is not None:
            await self._caching.akeep(held, outcome if written is None else written)

    def resolve(self, held: Held) -> Outcome | None:
        """Give a lease the payload that its handler gets, once; return its outcome if it is not to start."""
        if held.facts is None or not held.dynamic or held.control:
            return None
        try:
            self._reveal(held)
        except SecretMissing as error:
            # somebody may put it there before the next attempt
            return retried(unfit(error, held, "secret"), error, held)
        template = held.payload
        cached = self._caching is not None and is_cached(held)
        facts = held.facts
        if self._keeping is not None:
            try:
                facts = loaded(held, facts, self._keeping)
            except Exception as error:  # noqa: BLE001 - hooks are user code
                return not_loaded(held, error)
        payload = prepare(held, facts)
        if not isinstance(payload, str):
            return payload
        held.payload = payload
        held.resolved = True
        return self._caching.name(held, template) if cached and self._caching is not None else None

    def _reveal(self, held: Held) -> None:
        """Read the secrets that the step's expressions name, for this attempt only."""
        assert held.facts is not None
        declared = held.facts.facts.plan.secrets
        if not declared:
            return
        text = json.dumps([held.payload, held.facts.step, dict(held.facts.facts.plan.env)])
        values = self._secrets.mapping(name for name in declared if name in text)
        held.mask = Mask(values.values())
        held.facts = replace(held.facts, secrets=values)
