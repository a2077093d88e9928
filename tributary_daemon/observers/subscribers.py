"""Subscribers to events: user code, kept from the worker by a bounded queue and a thread of its own.

A subscriber that fails, blocks or is too slow loses events, and the worker says so; nothing waits for it.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, Final

from tributary_daemon import events
from tributary_daemon.errors import ConfigError, HandlerError
from tributary_daemon.events import Event
from tributary_daemon.handlers.discovery import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tributary_daemon.events import Observer

GROUP: Final = "tributary.observers"
ALL: Final = "all"
OFF: Final = "off"
_ROOM: Final = 10_000
_SAY_EVERY: Final = 60.0
_LAST_WORDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class SubscriberFailed(Event):
    """A subscriber raised, ``times`` since this was last said, or does not load; the worker goes on."""

    level: ClassVar[str] = "error"
    subscriber: str
    error: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class EventsDropped(Event):
    """A subscriber is too slow: ``count`` events since this was last said did not reach it."""

    level: ClassVar[str] = "warning"
    subscriber: str
    count: int


class Subscriber:
    """Calls one observer, in a thread of its own.

    Args:
        observer: user code; called with one event after the other.
        name: by which it is spoken of.
        room: events that wait for it at most.
    """

    def __init__(self, observer: Observer, name: str, *, room: int = _ROOM) -> None:
        self.name = name
        self._observer = observer
        self._room = room
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._dropped = _Count(lambda count, _: EventsDropped(name, count))
        self._failed = _Count(lambda count, error: SubscriberFailed(name, error, count))
        self._thread = threading.Thread(target=self._serve, name=f"subscriber {name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Take an event, unless too many wait; never blocks."""
        if self._queue.qsize() < self._room:
            self._queue.put(event)
        elif not isinstance(event, (EventsDropped, SubscriberFailed)):
            self._dropped.more()

    def close(self, until: float) -> None:
        """Let it have what waits for it, until a moment of the monotonic clock, and say what it lost."""
        self._queue.put(None)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive() and (left := self._queue.qsize() - 1) > 0:
            self._dropped.more(left)
        self._dropped.say()
        self._failed.say()

    def _serve(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._observer(event)
            except BaseException as error:  # noqa: BLE001 - user code; it must not break what it observes
                self._failed.more(1, f"{type(error).__name__}: {error}")


class _Count:
    """Counts what goes wrong, and says so at once the first time, then once a minute at most."""

    def __init__(self, told: Callable[[int, str], Event]) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._count = 0
        self._error = ""
        self._said_at = float("-inf")

    def more(self, count: int = 1, error: str = "") -> None:
        """Count; say so if it is time."""
        with self._lock:
            self._count += count
            self._error = error
            if time.monotonic() - self._said_at < _SAY_EVERY:
                return
        self.say()

    def say(self) -> None:
        """Say what was counted since the last time, if anything was."""
        with self._lock:
            count, self._count = self._count, 0
            self._said_at = time.monotonic()
        if count:
            events.emit(self._told(count, self._error))


_subscribers: tuple[Subscriber, ...] = ()
_lock = threading.Lock()


def anybody() -> bool:
    """Return whether there are subscribers in this process."""
    return bool(_subscribers)


def publish(event: Event) -> None:
    """Give an event to the subscribers, and to nobody else."""
    for subscriber in _subscribers:
        subscriber.put(event)


def subscribe(observer: Observer, name: str | None = None) -> Callable[[], None]:
    """Call ``observer`` with all that happens in this process from now on; return a function that ends it.

    Unlike what `events.attach` attaches, it is called in a thread of its own and may take its time.

    Args:
        observer: called with one event after the other.
        name: by which it is spoken of; its own if omitted.
    """
    global _subscribers  # noqa: PLW0603 - the one list of subscribers of this process
    called = name or str(getattr(observer, "__qualname__", type(observer).__name__))
    subscriber = Subscriber(observer, called)
    detach = events.attach(subscriber.put)
    with _lock:
        _subscribers = (*_subscribers, subscriber)

    def end() -> None:
        global _subscribers  # noqa: PLW0603 - see above
        with _lock:
            _subscribers = tuple(known for known in _subscribers if known is not subscriber)
        detach()
        subscriber.close(time.monotonic() + _LAST_WORDS)

    return end


def close() -> None:
    """Let all subscribers have what waits for them, within two seconds in all: the process ends."""
    until = time.monotonic() + _LAST_WORDS
    for subscriber in _subscribers:
        subscriber.close(until)


def start(wanted: Iterable[str], *, strict: bool = False) -> Callable[[], None]:
    """Subscribe what a configuration names; return a function that ends it.

    Args:
        wanted: ``all`` entry points of the group, ``off``, names of entry points, ``module:function`` or
            ``./file.py:function``.
        strict: refuse what was named and does not load; otherwise it is an event, and the others go on.

    Raises:
        ConfigError: see ``strict``.
    """
    ends: list[Callable[[], None]] = []
    for name, named, loads in _found(list(wanted)):
        try:
            observer = loads()
            if not callable(observer):
                raise ConfigError(f"{name} is no function", hint="it is called with each event")  # noqa: TRY301
        except Exception as error:
            if strict and named:
                for end in ends:
                    end()
                raise ConfigError(
                    f"the observer '{name}' does not load: {error}",
                    hint="observers = names of entry points, module:function, ./file.py:function, or off",
                ) from error
            events.emit(SubscriberFailed(name, f"{type(error).__name__}: {error}"))
            continue
        ends.append(subscribe(observer, name))

    def end_all() -> None:
        for end in ends:
            end()

    return end_all


def _found(wanted: list[str]) -> list[tuple[str, bool, Callable[[], Observer]]]:
    """Return name, whether somebody has named it, and what loads it."""
    if wanted == [OFF]:
        return []
    points = {point.name: point for point in metadata.entry_points(group=GROUP)}
    found: dict[str, tuple[str, bool, Callable[[], Observer]]] = {}
    for name in wanted:
        if name == ALL:
            for known, point in points.items():
                found.setdefault(known, (known, False, point.load))
        elif name in points:
            found[name] = (name, True, points[name].load)
        else:
            found[name] = (name, True, _loading(name, sorted(points)))
    return list(found.values())


def _loading(name: str, points: list[str]) -> Callable[[], Observer]:
    def loads() -> Observer:
        if ":" not in name:
            raise HandlerError(
                f"there is no entry point '{name}' in the group {GROUP}",
                hint=f"installed: {', '.join(points) or 'none'}",
            )
        observer: Observer = load(name)
        return observer

    return loads
