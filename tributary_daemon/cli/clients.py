"""What submits; it needs handlers and workflows too, so importing it takes longest."""

from __future__ import annotations

from tributary_daemon.app import open_client

__all__ = ["open_client"]
