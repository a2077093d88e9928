"""How passwords are masked; imported only where there is one."""

from __future__ import annotations

from tributary_daemon.config.values import mask

__all__ = ["mask"]
