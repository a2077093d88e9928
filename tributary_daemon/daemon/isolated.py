"""A process for attempts that run alone: ``python -m tributary_daemon.daemon.isolated FD``."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import resource
import select
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.inbox import Inbox, Message, Progress
from tributary_daemon.daemon.line_writer import LineWriter
from tributary_daemon.daemon.offers import Offer, offered
from tributary_daemon.daemon.runtime import ProcessRuntime
from tributary_daemon.daemon.slots import ConnectionSlots
from tributary_daemon.daemon.wire import (
    NOT_IMPORTABLE,
    Answer,
    Ask,
    Beat,
    Closing,
    Order,
    Said,
    Started,
    receive,
    send,
)
from tributary_daemon.handlers.hooks import Host
from tributary_daemon.hooks.loading import opened
from tributary_daemon.model.outcome import Discarded, ErrorRecord
from tributary_daemon.model.states import Kind
from tributary_daemon.observers import logs, tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.daemon.chunks import Chunk
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.model.outcome import Outcome

_IDLE: Final = 10.0
_LAST_WORDS: Final = 2.0
_LOOK_EVERY: Final = 500  # ms
_HUNG_UP: Final = select.POLLHUP | getattr(select, "POLLRDHUP", 0)


class _Voice:
    """The way back: threads of this process speak one after the other."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._lock = threading.Lock()

    def say(self, message: object) -> None:
        """Send one message."""
        with self._lock:
            send(self.end, message)


class _Forward(Inbox):
    """The inbox of an isolated attempt: progress goes to the process that holds the lease."""

    def __init__(self, voice: _Voice) -> None:
        super().__init__()
        self._voice = voice
        # the queue's own put is an attribute, for speed; this one replaces it
        self.put = self._forward

    def _forward(self, item: Message, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - signature of SimpleQueue.put
        if isinstance(item, Progress):
            self._voice.say(Beat(item.details))


class _AskingSlots(ConnectionSlots):
    """The slots of an isolated attempt: the process that holds the lease has them."""

    def __init__(self, voice: _Voice) -> None:
        super().__init__(1)
        self._voice = voice

    def take(self, held: Held) -> None:
        """Ask, and wait for the permission; the other side ends this process if that takes too long."""
        if held not in self:
            self._voice.say(Ask())
            receive(self._voice.end, None)
        super().take(held)

    async def atake(self, held: Held) -> None:
        """Do the same; nothing else runs in this loop."""
        self.take(held)


class _Relay:
    """What an isolated attempt says goes to the process that holds the lease, which stores it."""

    pause = 0.0

    def __init__(self, voice: _Voice) -> None:
        self._voice = voice

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Pass chunks on."""
        with suppress(OSError):
            # nobody is there any more: this process is about to end, too
            self._voice.say(Said(tuple(chunks)))

    def lost(self, error: Exception) -> None:
        """Never so."""

    def close(self) -> None:
        """Keep the way."""


def main() -> None:
    """Serve orders until the process at the other end has no more for ten seconds, or is gone."""
    end = socket.socket(fileno=int(sys.argv[1]))
    # what the handler leaves behind must not keep the other side from noticing our end
    end.set_inheritable(False)
    faulthandler.enable()
    threading.Thread(target=_end_with, args=(end,), name="lifeline", daemon=True).start()
    voice = _Voice(end)
    offer: Offer | None = None
    while (order := _next(end)) is not None:
        setup = order.setup
        if offer is None:
            sys.path[:] = [*setup.path, *(entry for entry in sys.path if entry not in setup.path)]
            logs.configure(setup.log_format, setup.log_level)
            offer = offered(setup.imports, enable_shell=setup.enable_shell, directory=setup.directory)
        writer = LineWriter(_Relay(voice), setup.max_log, setup.label) if setup.max_log else None
        runtime = ProcessRuntime(
            setup.url,
            setup.process_id,
            _Forward(voice),
            _AskingSlots(voice),
            writer=writer,
            keys=setup.ring,
        )
        hooks = opened(setup.hooks, Host(_url_of(setup), setup.label, "worker"))
        with tracing.adopted(order.traceparent) as sampled:
            outcome = _run(order, offer, Attempts(runtime, hooks=hooks), voice)
        if sampled or hooks is not None:
            # neither a collector that is away nor a hook that is slow to close makes the attempt late
            voice.say(Closing(outcome, order.held.made))
        if sampled:
            tracing.flush()
        if hooks is not None:
            hooks.close_within(_LAST_WORDS)
        if writer is not None:
            _let_out(order.held, writer)
        voice.say(Answer(outcome, order.held.made))
        runtime.close()


def _url_of(setup: ProcessSetup) -> Callable[[], str]:
    return lambda: setup.url


def _let_out(held: Held, writer: LineWriter) -> None:
    """Send what the attempt has said, before its outcome."""
    if held.lines is not None:
        out = threading.Event()
        held.lines.end(out.set)
        out.wait(_LAST_WORDS)
    writer.close()


def _next(end: socket.socket) -> Order | None:
    try:
        order: Order | None = receive(end, _IDLE)
    except EOFError:
        return None
    return order


def _run(order: Order, offer: Offer, attempts: Attempts, voice: _Voice) -> Outcome | None:
    held = order.held
    if held.kind != Kind.CLOSING:
        if held.name not in offer.registry:
            message = (
                f"handler {held.name} is not found in a process of its own: "
                "define it in a module that the worker imports by name"
            )
            return Discarded(ErrorRecord("HandlerError", message, held.attempt, NOT_IMPORTABLE))
        held.found(offer.registry.get(held.name))
    if order.memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (order.memory, order.memory))
    voice.say(Started())
    if held.handler is not None and held.handler.is_async:
        return asyncio.run(_arun(held, attempts, voice))
    outcome = attempts.run(held)
    if not attempts.pool.is_empty:
        voice.say(Closing(outcome, held.made))
        attempts.pool.close()
    return outcome


async def _arun(held: Held, attempts: Attempts, voice: _Voice) -> Outcome | None:
    outcome = await attempts.arun(held)
    if not attempts.pool.is_empty:
        voice.say(Closing(outcome, held.made))
        await attempts.pool.aclose()
    return outcome


def _end_with(end: socket.socket) -> None:
    """End this process when the other end is gone or out of reach: nobody would take its answer."""
    number, identity = end.fileno(), os.fstat(end.fileno()).st_ino
    poll = select.poll()
    poll.register(end, _HUNG_UP)
    while True:
        gone = poll.poll(_LOOK_EVERY)
        try:
            whole = os.fstat(number).st_ino == identity
        except OSError:
            whole = False
        if not whole:
            os._exit(Exit.BROKEN)
        if gone:
            os._exit(Exit.ORPHANED)


if __name__ == "__main__":
    main()
