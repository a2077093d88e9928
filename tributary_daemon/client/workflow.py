"""Workflows written in Python, whose steps may be models, handlers or names."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, Unpack

from pydantic import BaseModel, TypeAdapter

from tributary_daemon import codec
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.declare import name_of
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.types import type_name
from tributary_daemon.spec.builder import Head, Keys, WorkflowBuilder
from tributary_daemon.spec.makers import element
from tributary_daemon.spec.wants import snake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.spec.signatures import Signatures
    from tributary_daemon.spec.workflow import WorkflowSpec

Given: TypeAlias = "Iterable[Any] | Mapping[Any, Any]"
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
        self.given: dict[str, Any] = {}
        """Inputs of a run that `want` was given as values."""
        self.wants = False
        """Whether a graph is to be inferred."""

    @classmethod
    def infer(
        cls,
        target: Any,
        given: Given = (),
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the word of the language
    ) -> Self:
        """Return the workflow whose steps lead from given types to a wanted one.

        ``Workflow.infer(EnrichedUser, given=[UserID(id="u_1")])``

        Args:
            target: the wanted type, or ``list[T]``.
            given: as of `want`.
            name: of the workflow; made of the type's unless given.
            id: of the step that makes it; likewise.

        Raises:
            InvalidInput: a type without a name.
        """
        word = _word(target)
        step_id = id or word
        flow = cls(name or f"infer.{word}.v1", result=f"${{{{ steps.{step_id}.result }}}}")
        return flow.want(step_id, target, given)

    def want(
        self,
        id: str,  # noqa: A002 - the word of the language
        target: Any,
        given: Given = (),
        **keys: Unpack[Keys],
    ) -> Self:
        """Add the steps that lead from given types to a wanted one; see docs/typed-graphs.md.

        Args:
            id: of the step that makes it; the others are named after it and their handlers.
            target: a type, ``list[T]``, or its name.
            given: values (models, dataclasses, lists of them), types whose values come with the submit, or a
                mapping of types to values, types or texts with expressions. Values become inputs of the run.
            keys: as of `add`; they hold for every step.

        Raises:
            InvalidInput: a type without a name.
        """
        values: dict[str, Any] = {}
        pairs = given.items() if isinstance(given, Mapping) else [(_type_of(each), each) for each in given]
        for kind, value in pairs:
            expression = isinstance(value, str) and _EXPRESSION in value
            values[_name(kind)] = value if expression else self._input(id, kind, value)
        self.wants = True
        return self.write(
            id, {"want": _name(target), "given": values} if values else {"want": _name(target)}, **keys
        )

    def _input(self, step_id: str, kind: Any, value: Any) -> str:
        """Declare an input for a given type, and return the expression that reads it."""
        plain = None if _is_type(value) else codec.loads(codec.dumps(value, what=_name(kind)))
        declared: dict[str, Any] = self._head.setdefault("inputs", {})
        word = _word(kind)
        if word in declared:
            word = f"{step_id}_{word}"
        declared[word] = {"type": _input_type(kind, plain)}
        if plain is not None:
            self.given[word] = plain
        return f"${{{{ inputs.{word} }}}}"

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

    def split(self, signatures: Signatures | None = None) -> tuple[WorkflowSpec, dict[str, Any]]:
        """Check the workflow and return it without its literal payloads, and these by step id.

        Args:
            signatures: of handlers, to infer graphs from and to check types against.

        Raises:
            InvalidWorkflow: holds every fault.
        """
        return self.build(signatures, elsewhere=self._literals), dict(self._literals)

    def spec(self, signatures: Signatures | None = None) -> WorkflowSpec:
        """Check the workflow and return it whole, literal payloads in their places.

        Args:
            signatures: of handlers, to infer graphs from and to check types against.

        Raises:
            InvalidWorkflow: holds every fault.
        """
        spec = self.build(signatures, elsewhere=self._literals)
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


def read_as(kind: Any, value: Any) -> Any:
    """Return a JSON value as an instance of a type."""
    return TypeAdapter(kind).validate_json(codec.dumps(value))


def _type_of(value: Any) -> Any:
    if _is_type(value):
        return value
    if isinstance(value, list):
        if not value:
            raise InvalidInput("an empty list does not say of what", hint="give a mapping: {list[Order]: []}")
        return types.GenericAlias(list, (type(value[0]),))
    return type(value)


def _is_type(value: Any) -> bool:
    return isinstance(value, (type, types.GenericAlias, typing.NewType))


def _name(kind: Any) -> str:
    name = kind if isinstance(kind, str) else type_name(kind)
    if name is None:
        raise InvalidInput(
            f"{kind!r} does not say what it stands for, so no graph can be inferred from it",
            hint="use a model, dataclass, TypedDict, enum or NewType, or a list of them",
        )
    return name


def _word(kind: Any) -> str:
    name = _name(kind)
    return snake((element(name) or name).rpartition(".")[2]) + ("_list" if element(name) else "")


def _input_type(kind: Any, value: Any) -> str:
    if value is None:
        schema = {} if isinstance(kind, str) else TypeAdapter(kind).json_schema()
        found = schema.get("type", "object")
        return "list" if found == "array" else str(found)
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "list"
    return "object"


def _is_model(value: Any) -> bool:
    return isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))
