"""The hook ``validation``: payloads and results are held to JSON Schemas or pydantic types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import BaseModel, TypeAdapter, ValidationError

from tributary_daemon import codec
from tributary_daemon.errors import Abort, ConfigError, InvalidInput
from tributary_daemon.handlers.discovery import imported
from tributary_daemon.handlers.hooks import Hook
from tributary_daemon.handlers.signature import explain
from tributary_daemon.model.masking import BOUND

if TYPE_CHECKING:
    from tributary_daemon.handlers.hooks import Work
    from tributary_daemon.handlers.step import Step

Schema: TypeAlias = "Mapping[str, Any] | str | type[BaseModel]"
_SHOWN: Final = 10
_SHOWN_VALUE: Final = 80


class Validation(Hook):
    """Holds payloads and results to schemas.

    A payload that does not fit is refused when it is submitted, and aborts its step when it comes by a way
    that passes no client (SQL, schedules, expressions). A result that does not fit fails the attempt.

    Args:
        input: schema of payloads: a JSON Schema (a table), the path of one (``schemas/charge.json``), or a
            type (``shop.models:Charge``, in Python also the model itself); None to leave them alone.
        result: the same for results.

    Raises:
        ConfigError: neither is given, or one is no schema.
    """

    def __init__(self, *, input: Schema | None = None, result: Schema | None = None) -> None:  # noqa: A002 - the word of trib.toml
        if input is None and result is None:
            raise ConfigError("neither input nor result is given", hint='e.g. input = "schemas/charge.json"')
        self._input, self._result = input, result
        self._read()

    def __getstate__(self) -> dict[str, Any]:
        # what checks is made of the schema again in another process
        return {"names": self.names, "_input": self._input, "_result": self._result}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._read()

    def before_submit(self, work: Work) -> None:
        """Refuse a payload that does not fit; the inputs of a workflow are held to it under its name."""
        faults = self._payload_faults(work.payload)
        if faults:
            where = f"step {work.step!r}: " if work.step is not None else ""
            raise InvalidInput(
                f"{where}{work.name} does not take this payload: {faults}",
                hint="the hook validation holds it to a schema of its own",
            )

    def before_work(self, step: Step, payload: Any) -> None:
        """Abort a step whose payload does not fit: it will not fit the next time either."""
        faults = self._payload_faults(payload)
        if faults:
            raise Abort(f"{step.name} does not take this payload: {faults}")

    def after_work(self, step: Step, payload: Any, result: Any, error: BaseException | None) -> None:  # noqa: ARG002 - see Hook
        """Fail an attempt whose result does not fit."""
        if error is None and (faults := self._result_faults(result)):
            raise InvalidInput(f"the result of {step.name} is refused: {faults}")

    def _read(self) -> None:
        self._payload_faults = _checker("input", self._input, "payload")
        self._result_faults = _checker("result", self._result, "result")


Checker: TypeAlias = Callable[[Any], str]


def _checker(option: str, schema: Schema | None, what: str) -> Checker:
    """Return what says in words what is wrong with a value; nothing of one that fits."""
    if schema is None:
        return lambda _: ""
    if isinstance(schema, Mapping):
        return _json_schema(option, schema, what)
    if not isinstance(schema, str):
        return partial(_type_faults, _adapter(option, schema), what)
    if schema.endswith(".json"):
        return _json_schema(option, _file(option, schema), what)
    module, colon, name = schema.rpartition(":")
    if not colon:
        raise ConfigError(
            f"{option}: {schema} is neither a schema nor a type",
            hint="name a file that ends in .json, or a type as package.module:Name",
        )
    found = getattr(imported(module), name, None)
    if found is None:
        raise ConfigError(f"{option}: there is no {name} in {module}", hint="name a type that is there")
    return partial(_type_faults, _adapter(option, found), what)


def _file(option: str, path: str) -> Mapping[str, Any]:
    try:
        schema = codec.loads(Path(path).read_bytes(), what=path)
    except OSError as error:
        raise ConfigError(
            f"{option}: cannot read {path}: {error.strerror}", hint="paths start in the working directory"
        ) from error
    if not isinstance(schema, Mapping):
        raise ConfigError(f"{option}: {path} holds no JSON Schema", hint="a schema is an object")
    return schema


def _adapter(option: str, kind: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind)
    except Exception as error:
        raise ConfigError(f"{option}: {kind!r} is no type that pydantic reads: {error}") from error


def _type_faults(adapter: TypeAdapter[Any], what: str, value: Any) -> str:
    try:
        adapter.validate_json(codec.dumps(value, what=what))
    except ValidationError as error:
        return explain(error, what)
    return ""


def _json_schema(option: str, schema: Mapping[str, Any], what: str) -> Checker:
    try:
        library = import_module("jsonschema")
        registry = import_module("referencing").Registry()
    except ImportError as error:
        raise ConfigError(
            f"{option}: JSON Schemas need the package jsonschema",
            hint="pip install 'tributary-daemon[validation]', or name a pydantic type instead",
        ) from error
    kind = library.validators.validator_for(schema, default=library.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except library.SchemaError as error:
        raise ConfigError(f"{option} is no JSON Schema: {error.json_path}: {error.message}") from error
    # with a registry of its own nothing is ever fetched that a $ref names
    validator = kind(schema, registry=registry)

    def faults(value: Any) -> str:
        found: list[str] = []
        try:
            for fault in validator.iter_errors(value):
                if len(found) == _SHOWN:
                    found.append("and more")
                    break
                found.append(f"{what}{fault.json_path[1:]}: {_short(fault)}")
        except import_module("referencing").exceptions.Unresolvable as error:
            raise ConfigError(f"the schema refers to {error.ref}, which it does not hold itself") from error
        return "; ".join(found)

    return faults


def _short(fault: Any) -> str:
    """Return the message of a fault, without the whole value that some have in it."""
    mask = BOUND.get()
    message, shown = str(fault.message), repr(fault.instance)
    if mask is not None:
        # before it is cut: half a secret is none of the masked ones any more
        message, shown = mask.text(message), mask.text(shown)
    return message if len(shown) <= _SHOWN_VALUE else message.replace(shown, f"{shown[:_SHOWN_VALUE]}…")
