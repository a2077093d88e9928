"""What a handler's signature promises: how its payload becomes arguments and its answer JSON."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic_core import PydanticSerializationError, PydanticUndefined

from tributary_daemon import codec
from tributary_daemon.errors import HandlerError, InvalidInput
from tributary_daemon.handlers import marks, promises, resources, types
from tributary_daemon.handlers.step import Step
from tributary_daemon.handlers.types import UnresolvedTypeError
from tributary_daemon.model.masking import BOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from tributary_daemon.handlers.resources import Resource

_SHOWN_ERRORS: Final = 10
_SHOWN_VALUE: Final = 80


class Fault(NamedTuple):
    """What is wrong with one part of a payload: the path to it, pydantic's word for it, a sentence."""

    path: tuple[int | str, ...]
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Signature:
    """The checked signature of a handler.

    Attributes:
        whole: type of the one parameter that takes the whole payload; None when parameters bind by name.
        names: the parameters that are filled from the payload.
        step_name: the parameter that takes the `Step`; None when there is none.
        reader: payload -> ``whole``, or -> a model with one field per parameter.
        writer: result -> JSON; None when the handler does not say what it returns.
        takes: parameter -> name of its type, where it has one; see `types.type_name`.
        makes: name of the type it returns; None when that has none.
        resources: the parameters that get the values of resources, which are no part of the payload.
    """

    whole: Any
    names: tuple[str, ...]
    step_name: str | None
    reader: TypeAdapter[Any]
    writer: TypeAdapter[Any] | None
    takes: Mapping[str, str] = field(default_factory=dict)
    makes: str | None = None
    resources: Mapping[str, Resource] = field(default_factory=dict)

    def validate(self, payload: str) -> dict[str, Any]:
        """Return the arguments that a payload stands for, by parameter.

        Args:
            payload: JSON text.

        Raises:
            InvalidInput: it does not fit; the message names every fault.
        """
        try:
            # straight to the core: the adapter's own methods handle options that are not used here
            value = self.reader.validator.validate_json(payload)
        except ValidationError as error:
            raise InvalidInput(explain(error, "payload")) from error
        if self.whole is not None:
            return {self.names[0]: value}
        return dict(zip(self.names, vars(value).values(), strict=True))

    def dump(self, result: Any, max_bytes: int = codec.MAX_BYTES) -> str:
        """Return what a handler returned as JSON text.

        Args:
            result: the value.
            max_bytes: longest text.

        Raises:
            InvalidInput: it is not what the signature promises.
            CodecError: it cannot be stored as JSON.
        """
        if self.writer is None:
            return codec.dumps(result, what="result", max_bytes=max_bytes)
        try:
            checked = self.writer.validator.validate_python(result, strict=True)
            serializer = self.writer.serializer
            data = promises.kept(serializer, checked) or serializer.to_json(checked, warnings="error")
        except ValidationError as error:
            raise InvalidInput(explain(error, "result")) from error
        except PydanticSerializationError:
            # the codec knows how to say where; what it does not mind is a broken promise of the type
            codec.dumps(result, what="result", max_bytes=max_bytes)
            raise InvalidInput("the result holds values that its own type does not allow") from None
        return codec.check(data, result, what="result", max_bytes=max_bytes)

    def faults(self, payload: str) -> list[Fault]:
        """Return what is wrong with a payload; empty when it fits.

        Args:
            payload: JSON text.
        """
        try:
            self.reader.validator.validate_json(payload)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            return [Fault(fault["loc"], fault["type"], fault["msg"]) for fault in found]
        except Exception as error:  # noqa: BLE001 - validators are user code
            return [Fault((), "error", f"its types cannot read it: {type(error).__name__}: {error}")]
        return []

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of payloads; types with a name are marked by it (`marks.TYPE`)."""
        schema = self.reader.json_schema()
        for name, taken in self.takes.items():
            place = schema if self.whole is not None else schema["properties"][name]
            place[marks.TYPE] = taken
        return schema

    def output_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of results; empty when the signature does not say, or no schema can."""
        if self.writer is None:
            return {}
        mark = {} if self.makes is None else {marks.TYPE: self.makes}
        try:
            return {**self.writer.json_schema(mode="serialization"), **mark}
        except PydanticInvalidForJsonSchema:
            return mark


def explain(error: ValidationError, what: str) -> str:
    """Return pydantic's faults as one readable text: ``payload.width: Input should be … (got 'abc')``."""
    faults = error.errors(include_url=False, include_context=False)
    lines = []
    for fault in faults[:_SHOWN_ERRORS]:
        path = what + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
        got = "" if fault["type"] == "missing" else f" (got {_shown(fault['input'])})"
        lines.append(f"{path}: {fault['msg']}{got}")
    if len(faults) > _SHOWN_ERRORS:
        lines.append(f"and {len(faults) - _SHOWN_ERRORS} more")
    return "; ".join(lines)


def _shown(value: Any) -> str:
    # before it is cut: half a secret is none of the masked ones any more
    mask = BOUND.get()
    text = repr(value if mask is None else mask.value(value))
    return text if len(text) <= _SHOWN_VALUE else f"{text[: _SHOWN_VALUE - 1]}…"


def parameters(function: Callable[..., Any], name: str) -> tuple[inspect.Parameter, ...]:
    """Return the parameters of a handler, ``self`` left out, after checks that need no types.

    Raises:
        HandlerError: a parameter has no annotation, or cannot be filled by name.
    """
    found = list(inspect.signature(function).parameters.values())
    if is_method(function):
        found = found[1:]
    for parameter in found:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise HandlerError(
                f"handler {name}: {stars}{parameter.name} in {place(function)} cannot be bound to a payload",
                hint="name every parameter, or take one dict[str, Any]",
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise HandlerError(
                f"handler {name}: parameter {parameter.name!r} in {place(function)} is positional-only",
                hint="remove the `/`: arguments are passed by name",
            )
        if parameter.annotation is parameter.empty:
            raise HandlerError(
                f"handler {name}: parameter {parameter.name!r} in {place(function)} has no type annotation",
                hint=f"write `{parameter.name}: SomeModel`, `{parameter.name}: str` … "
                "(`step: Step` for the step itself)",
            )
    return tuple(found)


def is_method(function: Callable[..., Any]) -> bool:
    """Return whether a function stands in a class body and takes ``self``."""
    prefix = function.__qualname__.rpartition(".")[0]
    if not prefix or prefix.endswith("<locals>"):
        return False
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and first.name == "self" and first.annotation is first.empty


def code_of(function: Callable[..., Any]) -> CodeType:
    """Return the code of a function, beneath decorators that used ``functools.wraps``."""
    code: CodeType = inspect.unwrap(function).__code__
    return code


def place(function: Callable[..., Any]) -> str:
    """Return where a function stands: ``module.qualname (file:line)``."""
    code = code_of(function)
    return f"{function.__module__}.{function.__qualname__} ({code.co_filename}:{code.co_firstlineno})"


def read(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any], gives: type = Step
) -> Signature:
    """Return the signature of a handler.

    Args:
        function: the decorated function, for a method the plain function of its class.
        name: the handler's name, for messages.
        local_names: what was in sight where the function was defined, for types that are not global.
        gives: type of the parameter that is filled with the attempt itself, not from the payload.

    Raises:
        UnresolvedTypeError: a type that it names is not known (yet).
        HandlerError: it cannot be a handler's signature.
    """
    found = parameters(function, name)
    hints = _hints(function, name, {gives.__name__: gives, **local_names})
    steps = [p.name for p in found if hints[p.name] is gives]
    if len(steps) > 1:
        raise HandlerError(f"handler {name}: {place(function)} takes the step twice: {', '.join(steps)}")
    wanted = _resources(function, name, found, hints)
    filled = [p for p in found if p.name not in steps and p.name not in wanted]
    whole = hints[filled[0].name] if len(filled) == 1 and _takes_whole(hints[filled[0].name]) else None
    try:
        reader = TypeAdapter(_readable(whole)) if whole is not None else _by_name(name, filled, hints)
        reader.json_schema()
    except PydanticUserError as error:
        raise HandlerError(
            f"handler {name}: the parameters of {place(function)} cannot be read from JSON: {error.message}",
            hint="use JSON types, pydantic models, dataclasses or TypedDicts",
        ) from error
    try:
        writer = TypeAdapter(_readable(hints["return"])) if hints.get("return", Any) is not Any else None
    except PydanticUserError as error:
        raise HandlerError(
            f"handler {name}: the return type of {place(function)} cannot be written as JSON: "
            f"{error.message}",
            hint="use JSON types, pydantic models, dataclasses or TypedDicts",
        ) from error
    return Signature(
        whole,
        tuple(p.name for p in filled),
        steps[0] if steps else None,
        reader,
        writer,
        takes={
            parameter.name: taken
            for parameter in filled
            if (taken := types.taken_name(hints[parameter.name])) is not None
        },
        makes=types.type_name(hints.get("return", Any)),
        resources=wanted,
    )


def _resources(
    function: Callable[..., Any], name: str, found: tuple[inspect.Parameter, ...], hints: Mapping[str, Any]
) -> dict[str, Resource]:
    wanted = {p.name: used for p in found if (used := resources.used(hints[p.name])) is not None}
    for parameter, used in wanted.items():
        if not resources.fits(hints[parameter], used):
            raise HandlerError(
                f"handler {name}: {parameter!r} in {place(function)} is to be of another type than what "
                f"{used.name} makes: {used.made.__qualname__}",
                hint="annotate it with the type that the resource returns or yields",
            )
    resources.check(f"handler {name}", wanted, is_async=inspect.iscoroutinefunction(function), replaced={})
    return wanted


def _hints(function: Callable[..., Any], name: str, local_names: Mapping[str, Any]) -> dict[str, Any]:
    plain = inspect.unwrap(function)
    # Step is in sight even where its import is for the type checker only
    in_sight = {"Step": Step, **plain.__globals__, **local_names}
    try:
        return typing.get_type_hints(plain, globalns=in_sight, include_extras=True)
    except NameError as error:
        raise UnresolvedTypeError(
            f"handler {name}: {error.name!r} in the signature of {place(function)} is not defined",
            hint="types in signatures are needed at run time: import them outside `if TYPE_CHECKING:`",
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise HandlerError(
            f"handler {name}: the annotations of {place(function)} are not types: {error}"
        ) from error


def _takes_whole(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    plain = typing.get_origin(annotation) or annotation
    return (
        plain is dict
        or typing_extensions.is_typeddict(plain)
        or (isinstance(plain, type) and (issubclass(plain, BaseModel) or dataclasses.is_dataclass(plain)))
    )


def _readable(annotation: Any) -> Any:
    """Return an annotation that pydantic reads: before Python 3.12 it refuses ``typing.TypedDict``."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(annotation):
        return annotation
    hints = typing.get_type_hints(annotation, include_extras=True)
    members = {
        key: hint if key in annotation.__required_keys__ else typing_extensions.NotRequired[hint]
        for key, hint in hints.items()
    }
    twin: Any = typing_extensions.TypedDict  # built from values, which no type checker can follow
    return twin(annotation.__name__, members)


def _by_name(name: str, filled: list[inspect.Parameter], hints: Mapping[str, Any]) -> TypeAdapter[Any]:
    """Return a reader for parameters that bind by name.

    Fields are numbered and reached by alias, as a parameter may have a name that models keep to themselves.
    """
    members: dict[str, Any] = {}
    for index, parameter in enumerate(filled):
        default = PydanticUndefined if parameter.default is parameter.empty else parameter.default
        annotation = hints[parameter.name]
        members[f"argument{index}"] = (annotation, Field(default, alias=parameter.name))
    return TypeAdapter(create_model(name, __config__=ConfigDict(extra="forbid"), **members))
