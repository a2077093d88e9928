"""All that starts a worker; imported when ``worker`` or ``run`` does."""

from __future__ import annotations

from tributary_daemon.workers import private_worker, run_worker

__all__ = ["private_worker", "run_worker"]
