"""Tests load modules with handlers into their own process; the next test is to find none of them."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from tributary_daemon.handlers.registry import REGISTRY


@contextmanager
def handlers_forgotten():
    """Forget the handlers, and the modules that declare them, which came into this process meanwhile."""
    before, path = REGISTRY.names(), list(sys.path)
    yield
    for record in REGISTRY:
        module = record.declared.__module__
        if record.name not in before and not module.startswith("tributary_daemon."):
            REGISTRY.remove(record.name)
            if not module.startswith("tests."):
                sys.modules.pop(module, None)
    sys.path[:] = path
