"""The thread of a waiting client that hears which work has ended."""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.errors import TributaryError
from tributary_daemon.store.notify import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME: Final = "trib client listen"
_TEND_EVERY: Final = 1.0


class Ear:
    """Keeps a LISTEN connection, through its losses, in a thread of its own.

    Connecting may take long, and must not keep anybody from polling meanwhile. Both clients use it: what it
    calls is called in its thread.

    Args:
        url: returns the URL to listen at.
        channel: where ids of ended work arrive, separated by spaces.
        heard: told ids that have ended.
        turned: told whether notifications arrive from now on, or do no more.
        waiting: whether anybody waits, so that it matters if they do not.
    """

    def __init__(
        self,
        url: Callable[[], str],
        channel: str,
        heard: Callable[[Sequence[str]], None],
        turned: Callable[[bool], None],
        waiting: Callable[[], bool],
    ) -> None:
        self._url = url
        self._channel = channel
        self._heard = heard
        self._turned = turned
        self._waiting = waiting
        self._connecting = True
        self._listener: Listener | None = None
        self._stopping = False
        self._told = False
        self._bell, self._ring = socket.socketpair()
        self._open = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="trib ear", daemon=True)

    def start(self) -> None:
        """Start to listen, in the background."""
        self._thread.start()

    def question(self) -> str | None:
        """Return the channel on which it wants a notification; see `Listener.question`."""
        return None if self._listener is None else self._listener.question()

    def stop(self) -> None:
        """Let the thread end; it does not wait for that."""
        with self._open:
            if not self._stopping:
                self._stopping = True
                self._ring.send(b".")

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread after `stop`; not while it connects, which may take long."""
        if not self._connecting:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._listen(Listener(self._url(), NAME, channels=(self._channel,)))
        except TributaryError as error:
            events.emit(events.ListenFailed(NAME, error.message))
        finally:
            with self._open:
                self._stopping = True
                self._bell.close()
                self._ring.close()

    def _listen(self, listener: Listener) -> None:
        self._listener = listener
        listening = False
        try:
            while not self._stopping and not listener.is_hopeless:
                self._connecting = not listener.listening
                opened = listener.ensure()
                self._connecting = False
                if opened or listening != listener.listening:
                    listening = listener.listening
                    self._turned(listening)
                self._say(listener)
                for _, payload in self._hear(listener):
                    self._heard(payload.split())
        finally:
            listener.close()

    def _hear(self, listener: Listener) -> list[tuple[str, str]]:
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        fileno = listener.fileno()
        if fileno is not None:
            poller.register(fileno, select.POLLIN)
        poller.poll(_TEND_EVERY * 1000)
        return listener.receive()

    def _say(self, listener: Listener) -> None:
        """Say once for each outage that LISTEN cannot be had."""
        if listener.listening:
            self._told = False
        elif listener.failure is not None and not self._told and self._waiting():
            self._told = True
            events.emit(events.ListenFailed(NAME, listener.failure))
