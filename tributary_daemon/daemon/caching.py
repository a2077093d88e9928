"""Steps with ``cache``: looked up before their handler is called, kept when it has returned."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tributary_daemon import codec, events
from tributary_daemon.config import mask
from tributary_daemon.daemon.cache_events import ResultNotCached
from tributary_daemon.daemon.cache_lookup import CacheLookup
from tributary_daemon.daemon.cache_threads import CacheThreads, Call
from tributary_daemon.engine.caching import cache_key
from tributary_daemon.engine.failures import unfit
from tributary_daemon.engine.inputs import contexts
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.caching import Holder
from tributary_daemon.model.control import Flag, is_undo
from tributary_daemon.model.outcome import Cached, CacheWait, Completed, Discarded
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

    Answer = Hit | Mine | Busy

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
    """

    def __init__(
        self, cache: str, url: str, shards: int, patience: float, *, keys: Ring | None = None
    ) -> None:
        # a client gives up before that, so that its error tells what is wrong
        timeout = patience / 2
        self._patience = patience
        self._keys = keys
        self._threads = CacheThreads(
            mask(cache), lambda: CacheLookup(cache, url, shards, timeout, keys), patience
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
            found = cache_key(held, held.facts.step["cache"], seen, held.handler.version)
            if self._keys is not None:
                # nobody finds out by the hash what the input was, and under another key all is made anew
                found = found._replace(digest=self._keys.digest(found.digest, found.tenant))
            held.cache_key = found
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

    def close(self) -> None:
        """Let go of the store."""
        self._threads.close()

    @staticmethod
    def _question(key: CacheKey, held: Held) -> Call[Answer | None]:
        holder = Holder(*held.token)

        def undo(lookup: CacheLookup, answer: Answer | None) -> None:
            if isinstance(answer, Mine):
                lookup.store.give_up(key, holder)

        def ask(lookup: CacheLookup) -> Answer | None:
            answer = lookup.ask(key, holder)
            if answer is None:
                _tell(held, "not_authentic")
            return answer

        return Call(ask, undo)

    @staticmethod
    def _news(held: Held, outcome: Outcome | None) -> Callable[[CacheLookup], bool]:
        key, holder = held.cache_key, Holder(*held.token)
        assert key is not None
        if not isinstance(outcome, Completed):
            return lambda lookup: lookup.store.give_up(key, holder)
        value = outcome.result
        if len(value.encode()) > MOST_BYTES:
            _tell(held, "too_large")
            return lambda lookup: lookup.store.give_up(key, holder)

        def fill(lookup: CacheLookup) -> bool:
            kept = lookup.keep(key, holder, value)
            if not kept:
                _tell(held, "taken_over")
            return kept

        return fill

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


def _tell(held: Held, why: str) -> None:
    step = held.step_id or held.name
    events.emit(ResultNotCached(run_id=held.run_id, step=step, name=held.name, why=why))
