"""A disposable process for one attempt: ``python -m tributary_daemon.daemon.isolated FD``."""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from typing import TYPE_CHECKING

from tributary_daemon.daemon.attempts import Attempts
from tributary_daemon.daemon.inbox import Inbox, Message, Progress
from tributary_daemon.daemon.isolation import Answer, Ask, Beat, Started, receive, send
from tributary_daemon.daemon.offers import offered
from tributary_daemon.daemon.runtime import ProcessRuntime
from tributary_daemon.daemon.slots import ConnectionSlots
from tributary_daemon.observers import logs

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.isolation import Order


class _Forward(Inbox):
    """The inbox of an isolated attempt: progress goes to the process that holds the lease."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__()
        self._end = end
        # the queue's own put is an attribute, for speed; this one replaces it
        self.put = self._forward

    def _forward(self, item: Message, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - signature of SimpleQueue.put
        if isinstance(item, Progress):
            send(self._end, Beat(item.details))


class _AskingSlots(ConnectionSlots):
    """The slots of an isolated attempt: the process that holds the lease has them."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(1)
        self._end = end

    def take(self, held: Held) -> None:
        """Ask, and wait for the permission; the other side ends this process if that takes too long."""
        if held not in self:
            send(self._end, Ask())
            receive(self._end, None)
        super().take(held)

    async def atake(self, held: Held) -> None:
        """Do the same; nothing else runs in this loop."""
        self.take(held)


def main() -> None:
    """Run one attempt on behalf of the process at the other end of the socket."""
    end = socket.socket(fileno=int(sys.argv[1]))
    order: Order = receive(end, None)
    setup, held = order.setup, order.held
    sys.path[:] = [*setup.path, *(entry for entry in sys.path if entry not in setup.path)]
    logs.configure(setup.log_format, setup.log_level)
    offer = offered(setup.imports, enable_shell=setup.enable_shell, directory=setup.directory)
    held.handler = offer.registry.get(held.name)
    runtime = ProcessRuntime(setup.url, setup.process_id, _Forward(end), _AskingSlots(end))
    attempts = Attempts(runtime)
    if order.memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (order.memory, order.memory))
    send(end, Started())
    outcome = asyncio.run(attempts.arun(held)) if held.handler.is_async else attempts.run(held)
    send(end, Answer(outcome))
    runtime.close()


if __name__ == "__main__":
    main()
