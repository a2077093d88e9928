"""Durable work in PostgreSQL: YAML workflows and single intents, worked off by a supervised daemon.

The public names below are imported on first use: ``import tributary_daemon`` alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tributary_daemon.app import AsyncClient as AsyncClient
    from tributary_daemon.app import Client as Client
    from tributary_daemon.client.unique import Unique as Unique
    from tributary_daemon.client.workflow import Workflow as Workflow
    from tributary_daemon.errors import Abort as Abort
    from tributary_daemon.errors import HandlerTimeout as HandlerTimeout
    from tributary_daemon.errors import LeaseLost as LeaseLost
    from tributary_daemon.errors import RetryAfter as RetryAfter
    from tributary_daemon.errors import Snooze as Snooze
    from tributary_daemon.errors import StepCancelled as StepCancelled
    from tributary_daemon.errors import StepFailed as StepFailed
    from tributary_daemon.errors import TributaryError as TributaryError
    from tributary_daemon.errors import WaitOver as WaitOver
    from tributary_daemon.handlers.declare import handler as handler
    from tributary_daemon.handlers.declare_workflow import workflow as workflow
    from tributary_daemon.handlers.hooks import Hook as Hook
    from tributary_daemon.handlers.resources import Use as Use
    from tributary_daemon.handlers.resources import resource as resource
    from tributary_daemon.handlers.step import Step as Step
    from tributary_daemon.handlers.workflow_context import WorkflowContext as WorkflowContext
    from tributary_daemon.model.retry import Retry as Retry
    from tributary_daemon.store.migrations import Migrator as Migrator
    from tributary_daemon.workers import Worker as Worker

__version__ = "0.1.0"

_PLACES = {
    "Abort": "errors",
    "AsyncClient": "app",
    "Client": "app",
    "HandlerTimeout": "errors",
    "Hook": "handlers.hooks",
    "LeaseLost": "errors",
    "Migrator": "store.migrations",
    "Retry": "model.retry",
    "RetryAfter": "errors",
    "Snooze": "errors",
    "Step": "handlers.step",
    "StepCancelled": "errors",
    "StepFailed": "errors",
    "TributaryError": "errors",
    "Unique": "client.unique",
    "WaitOver": "errors",
    "Use": "handlers.resources",
    "Worker": "workers",
    "Workflow": "client.workflow",
    "WorkflowContext": "handlers.workflow_context",
    "handler": "handlers.declare",
    "workflow": "handlers.declare_workflow",
    "resource": "handlers.resources",
}

__all__ = [
    "Abort",
    "AsyncClient",
    "Client",
    "HandlerTimeout",
    "Hook",
    "LeaseLost",
    "Migrator",
    "Retry",
    "RetryAfter",
    "Snooze",
    "Step",
    "StepCancelled",
    "StepFailed",
    "TributaryError",
    "Unique",
    "Use",
    "WaitOver",
    "Worker",
    "Workflow",
    "WorkflowContext",
    "handler",
    "resource",
    "workflow",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{place}"), name)
    # the next look-up finds it without coming here
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
