"""Steps with ``cache``: looked up before their handler is called, kept when it has returned."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tributary_daemon import codec, events
from tributary_daemon.config import mask
from tributary_daemon.daemon.cache_events import ResultNotCached
from tributary_daemon.daemon.cache_lookup import Above, CacheLookup
from tributary_daemon.daemon.cache_threads import CacheThreads, Call
from tributary_daemon.engine.caching import cache_key, child_key
from tributary_daemon.engine.failures import unfit
from tributary_daemon.engine.inputs import contexts
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.caching import Holder
from tributary_daemon.model.control import Flag, is_asked, is_undo
from tributary_daemon.model.outcome import Cached, CacheWait, Completed, Discarded, Started
from tributary_daemon.spec.expressions import ExpressionError
from tributary_daemon.store.cache.entries import Busy, Hit, Mine
from tributary_daemon.store.contexts import AGGREGATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.caching import CacheKey
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.contexts import StepFacts

    Answer = Hit | Mine | Busy | Above

MOST_BYTES: Final = 1_048_576
"""Larger results are not kept."""
_SOONEST, _LATEST = 0.1, 5.0
# somebody who makes a result for a minute is not asked ten times a second
_SHARE: Final = 0.25


def is_cached(held: Held) -> bool:
    """Return whether a lease's result may come from the cache; its surroundings are loaded."""
    return (
        held.facts is not None
        and "cache" in held.facts.step
        and not held.control
        and not held.durable
        and held.payload != AGGREGATE
        # what undoes a step is done each time
        and not is_undo(held.flags)
        and not (held.options is not None and _is_bypassed(held.options))
    )


def _is_cached_child(held: Held, facts: StepFacts) -> bool:
    """Return whether the result of the sub-workflow that a lease starts may come from the cache."""
    return (
        "cache" in facts.step
        # its surroundings are those of the function that has asked for it
        and not is_asked(held.flags)
        and not (held.options is not None and _is_bypassed(held.options))
    )


def _is_bypassed(options: str) -> bool:
    return json.loads(options).get("cache", {}).get("value") is False


class Caching:
    """The step cache of one process.

    Args:
        cache: where results are kept: the setting ``cache``.
        url: of the database.
        shards: number of its shards.
        patience: seconds that an attempt waits for an answer.
        keys: encrypt what is kept; None where values are stored as they are.
        namespace: of keys in a store beside the database; empty for the database's own.
    """

    def __init__(
        self,
        cache: str,
        url: str,
        shards: int,
        patience: float,
        *,
        keys: Ring | None = None,
        namespace: str = "",
    ) -> None:
        # a client gives up before that, so that its error tells what is wrong
        timeout = patience / 2
        self._patience = patience
        self._keys = keys
        self._threads = CacheThreads(
            mask(cache), lambda: CacheLookup(cache, url, shards, timeout, keys, namespace=namespace), patience
        )

    def name(self, held: Held, template: str) -> Outcome | None:
        """Give a lease its key; return its outcome if there is none.

        Args:
            held: its payload is what its handler gets.
            template: its payload before that, which of a fan-out's item holds the item.
        """
        assert held.facts is not None
        assert held.handler is not None
        item = codec.loads(template) if held.flags & Flag.ITEM else None
        try:
            seen = contexts(held.facts, item)
            held.cache_key = self._hidden(
                cache_key(held, held.facts.step["cache"], seen, held.handler.version)
            )
        except ExpressionError as error:
            return Discarded(unfit(error, held, "expression"))
        except InvalidInput as error:
            return Discarded(unfit(error, held, "invalid_payload"))
        return None

    def look(self, held: Held) -> Outcome | None:
        """Return the outcome that the cache has for a lease; None: its handler is to be called.

        Then, unless the store was out of reach, the lease makes the result for all that ask meanwhile.
        """
        if held.cache_key is None:
            return None
        return _answered(held, self._threads.ask(self._question(held.cache_key, held)))

    async def alook(self, held: Held) -> Outcome | None:
        """Do the same without blocking the running loop."""
        if held.cache_key is None:
            return None
        return _answered(held, await self._aask(self._question(held.cache_key, held)))

    def keep(self, held: Held, outcome: Outcome | None) -> None:
        """Keep what an attempt led to if it completed, else let others make the result.

        Args:
            held: with the right to make the result; otherwise nothing happens.
            outcome: what it led to; None where that is not known.
        """
        if held.makes:
            held.makes = False
            self._threads.ask(Call(self._news(held, outcome)))

    async def akeep(self, held: Held, outcome: Outcome | None) -> None:
        """Do the same without blocking the running loop."""
        if held.makes:
            held.makes = False
            await self._aask(Call(self._news(held, outcome)))

    def child(self, held: Held, facts: StepFacts, outcome: Outcome) -> Outcome:
        """Return what becomes of a step with a sub-workflow, where the cache has a say in it.

        Args:
            held: of the step.
            facts: its surroundings; where its child run has completed, with that one's result, which is kept.
            outcome: of the step without the cache. `Started`: the child run begins unless there is a result,
                and is noted to make one.
        """
        if isinstance(outcome, Started) and _is_cached_child(held, facts):
            return self._begin_child(held, facts, outcome)
        if isinstance(outcome, Completed) and facts.ended_child is not None:
            key, holder = facts.ended_child[1]
            self._threads.ask(Call(_keeping(held, key, holder, outcome.result)))
        return outcome

    def close(self) -> None:
        """Let go of the store."""
        self._threads.close()

    def _begin_child(self, held: Held, facts: StepFacts, started: Started) -> Outcome:
        child = codec.loads(started.child)
        item = codec.loads(held.payload) if held.flags & Flag.ITEM else None
        try:
            key = self._hidden(child_key(held, facts.step["cache"], contexts(facts, item), child))
        except ExpressionError as error:
            return Discarded(unfit(error, held, "expression"))
        except InvalidInput as error:
            return Discarded(unfit(error, held, "invalid_payload"))
        held.cache_key = key
        answer = self._threads.ask(self._question(key, held))
        if isinstance(answer, Mine):
            held.looked = "miss"
            # whoever completes the step has nothing but what is noted: another process, hours later
            return Started(codec.dumps({**child, "cached": key._asdict()}))
        return _answered(held, answer) or started

    def _hidden(self, key: CacheKey) -> CacheKey:
        if self._keys is None:
            return key
        # nobody finds out by the hash what the input was, and under another key all is made anew
        return key._replace(digest=self._keys.digest(key.digest, key.tenant))

    @staticmethod
    def _question(key: CacheKey, held: Held) -> Call[Answer | None]:
        holder = Holder(*held.token)

        def undo(lookup: CacheLookup, answer: Answer | None) -> None:
            if isinstance(answer, Mine):
                lookup.store.give_up(key, holder)

        def ask(lookup: CacheLookup) -> Answer | None:
            answer = lookup.ask(key, holder)
            if answer is None or isinstance(answer, Above):
                _tell(held, key, "not_authentic" if answer is None else "in_itself")
            return answer

        return Call(ask, undo)

    @staticmethod
    def _news(held: Held, outcome: Outcome | None) -> Callable[[CacheLookup], bool]:
        key, holder = held.cache_key, Holder(*held.token)
        assert key is not None
        if not isinstance(outcome, Completed):
            return lambda lookup: lookup.store.give_up(key, holder)
        return _keeping(held, key, holder, outcome.result)

    async def _aask(self, call: Call[Any]) -> Any:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        def wake() -> None:
            # a loop that has ended meanwhile waits for nothing
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(over.set)

        call.over = wake
        if not self._threads.put(call):
            return None
        try:
            await asyncio.wait_for(over.wait(), self._patience)
        except TimeoutError:
            return self._threads.tire(call)
        except asyncio.CancelledError:
            self._threads.leave(call)
            raise
        return call.answer


def _answered(held: Held, answer: Answer | None) -> Outcome | None:
    match answer:
        case Hit(value):
            held.looked = "hit"
            return Cached(value)
        case Busy(age=age):
            held.looked = "wait"
            return CacheWait(min(max(_SOONEST, age * _SHARE), _LATEST))
        case Mine():
            held.looked = "miss"
            held.makes = True
        case None:
            held.looked = "error"
    return None


def _keeping(held: Held, key: CacheKey, holder: Holder, value: str) -> Callable[[CacheLookup], bool]:
    if len(value.encode()) > MOST_BYTES:
        _tell(held, key, "too_large")
        return lambda lookup: lookup.store.give_up(key, holder)

    def fill(lookup: CacheLookup) -> bool:
        kept = lookup.keep(key, holder, value)
        if not kept:
            _tell(held, key, "taken_over")
        return kept

    return fill


def _tell(held: Held, key: CacheKey, why: str) -> None:
    step = held.step_id or held.name
    events.emit(ResultNotCached(run_id=held.run_id, step=step, name=key.step_name, why=why))
