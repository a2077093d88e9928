"""Workflows written in Python, whose steps may be models, handlers or names."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from pydantic import BaseModel

from tributary_daemon import codec
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.declare import name_of
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.spec.builder import Head, Keys, WorkflowBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tributary_daemon.spec.workflow import WorkflowSpec

_EXPRESSION: Final = "${{"


class Workflow(WorkflowBuilder):
    """A workflow built step by step; nothing is stored or checked before it is submitted.

    ``Workflow("user.signup.v1").add("create", CreateUser(…)).add("activate", Activate(), needs="create")``

    Payloads are kept with the run, not in the workflow's revision: the same shape with other data is the
    same revision. Only texts with ``${{ }}`` in a plain payload are expressions; models are taken literally.
    """

    def __init__(self, name: str, *, children: Iterable[WorkflowSpec] = (), **head: Unpack[Head]) -> None:
        super().__init__(name, children=children, **head)
        self._literals: dict[str, Any] = {}

    def add(
        self,
        id: str,  # noqa: A002 - the word of the language
        action: str | BaseModel | Callable[..., Any] | Any,
        payload: Any = None,
        **keys: Unpack[Keys],
    ) -> Self:
        """Add a step.

        Args:
            id: of the step.
            action: name of a handler, a handler function or method, or a model (pydantic, dataclass) whose
                one handler in this process is chosen and whose fields are the payload.
            payload: JSON value or model; not beside a model as action.
            keys: what the step says beside that, see `Keys`.

        Returns:
            The workflow itself.

        Raises:
            NotFound: no handler takes the model.
            HandlerError: several handlers take it.
            CodecError: the payload cannot be stored as JSON.
            InvalidInput: the action is of no kind above.
        """
        name, given, literal = self._action(id, action, payload)
        if given is None:
            return super().add(id, name, **keys)
        text = codec.dumps(given, what=f"steps.{id}.with")
        if not literal and _EXPRESSION in text:
            return super().add(id, name, codec.loads(text), **keys)
        self._literals[id] = codec.loads(text)
        return super().add(id, name, **keys)

    def split(self) -> tuple[WorkflowSpec, dict[str, Any]]:
        """Check the workflow and return it without its literal payloads, and these by step id.

        Raises:
            InvalidWorkflow: holds every fault.
        """
        return self.build(), dict(self._literals)

    def spec(self) -> WorkflowSpec:
        """Check the workflow and return it whole, literal payloads in their places.

        Raises:
            InvalidWorkflow: holds every fault.
        """
        spec = self.build()
        steps = tuple(
            replace(step, with_=self._literals[step.id]) if step.id in self._literals else step
            for step in spec.steps
        )
        return replace(spec, steps=steps)

    @staticmethod
    def _action(step_id: str, action: Any, payload: Any) -> tuple[str, Any, bool]:
        """Return the handler's name, the payload, and whether it is to be taken literally."""
        if isinstance(action, str):
            return action, payload, _is_model(payload)
        if (name := name_of(action)) is not None:
            return name, payload, _is_model(payload)
        if not _is_model(action):
            raise InvalidInput(
                f"step {step_id!r}: {action!r} is neither a handler nor a payload of one",
                hint="give a handler's name, a @handler function, or the model that a handler takes",
            )
        if payload is not None:
            raise InvalidInput(
                f"step {step_id!r}: a {type(action).__qualname__} is a payload already",
                hint="leave the other payload out",
            )
        return REGISTRY.find_for_model(type(action)).name, action, True


def _is_model(value: Any) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))
