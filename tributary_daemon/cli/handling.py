"""The handlers of this process; imported when a command looks at signatures."""

from __future__ import annotations

from tributary_daemon.client.local import Local
from tributary_daemon.handlers.discovery import require

__all__ = ["Local", "require"]
