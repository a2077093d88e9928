"""Handlers that every worker has: importing this package registers them."""

from __future__ import annotations

from tributary_daemon.handlers.builtin import drills, http, sql, webhook

__all__ = ["drills", "http", "sql", "webhook"]
