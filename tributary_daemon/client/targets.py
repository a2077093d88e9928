"""What can be submitted, told apart before the database is asked."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import BaseModel

from tributary_daemon import codec
from tributary_daemon.client.local import Local
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput, NotFound
from tributary_daemon.handlers.declare import name_of
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.spec.functions import spec_of
from tributary_daemon.spec.loader import load_file
from tributary_daemon.spec.sources import is_file, is_there
from tributary_daemon.spec.workflow import WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.spec.signatures import Signatures

Target: TypeAlias = "str | Path | Workflow | WorkflowSpec | BaseModel | Callable[..., Any]"
_SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class IntentTarget:
    """A handler's name that was not merely typed: a function, or the model that a handler takes."""

    name: str
    payload: Any


@dataclass(frozen=True, slots=True)
class SpecTarget:
    """A workflow at hand; ``payloads`` stand in for the ``with`` of its steps."""

    spec: WorkflowSpec
    inputs: Any
    payloads: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NameTarget:
    """A plain name: of a registered workflow, else of an intent. Only the database knows."""

    name: str
    payload: Any


def classify(
    target: Target, payload: Any, *, strict: bool = False, signatures: Signatures | None = None
) -> IntentTarget | SpecTarget | NameTarget:
    """Tell what is to be submitted; files are loaded and checked here.

    Args:
        target: path of a workflow file, name, handler function or method, model that a handler takes (then
            without ``payload``), or a workflow built in Python.
        payload: of the intent, or inputs of the workflow.
        strict: warnings of a file refuse it.
        signatures: of handlers; those of this process unless given.

    Raises:
        InvalidWorkflow: the file or builder is refused.
        NotFound: no such file, or no handler takes the model.
        InvalidInput: the target is of no kind above.
    """
    known = Local() if signatures is None else signatures
    match target:
        case Path():
            return SpecTarget(_load(target, known, strict=strict), payload, {})
        case str():
            return _named(target, payload, known, strict=strict)
        case Workflow():
            spec, payloads = target.split(known)
            return SpecTarget(spec, _with_given(target, payload), payloads)
        case WorkflowSpec():
            return SpecTarget(target, payload, {})
    if (name := name_of(target)) is not None:
        return _handled(name, payload)
    if isinstance(target, BaseModel) or (dataclasses.is_dataclass(target) and not isinstance(target, type)):
        if payload is not None:
            raise InvalidInput(
                f"a {type(target).__qualname__} is a payload already", hint="submit it without another one"
            )
        return _handled(REGISTRY.find_for_model(type(target)).name, target)
    if callable(target):
        raise InvalidInput(
            f"{getattr(target, '__qualname__', target)!r} is not a handler",
            hint='decorate it with @handler("domain.action.v1")',
        )
    raise InvalidInput(
        f"a {type(target).__qualname__} cannot be submitted",
        hint="submit a file, a name, a handler, a model that a handler takes, or a Workflow",
    )


def function_here(name: str) -> WorkflowSpec | None:
    """Return the workflow that a workflow function of this process is; None where the name has none."""
    return spec_of(REGISTRY.get(name)) if name in REGISTRY and REGISTRY.get(name).durable else None


def _handled(name: str, payload: Any) -> IntentTarget | SpecTarget:
    function = function_here(name)
    return IntentTarget(name, payload) if function is None else SpecTarget(function, payload, {})


def may_want(target: Target) -> bool:
    """Whether a target may hold a graph that is to be inferred; a file is only looked at, not read."""
    if isinstance(target, Workflow):
        return target.wants
    if isinstance(target, str) and not _is_path(target):
        return False
    if not isinstance(target, str | Path):
        return False
    try:
        return b"want" in Path(target).read_bytes()
    except OSError:
        # whoever loads it says why
        return False


def _is_path(text: str) -> bool:
    return text.lower().endswith(_SUFFIXES) or os.sep in text or is_file(Path(text))


def _with_given(workflow: Workflow, payload: Any) -> Any:
    """Return the inputs of a run: those the workflow was built with, and over them those of the submit."""
    if not workflow.given:
        return payload
    if payload is None:
        return workflow.given
    plain = codec.loads(codec.dumps(payload, what="inputs"), what="inputs")
    return {**workflow.given, **plain} if isinstance(plain, dict) else plain


def _named(text: str, payload: Any, known: Signatures, *, strict: bool) -> SpecTarget | NameTarget:
    if _is_path(text):
        return SpecTarget(_load(Path(text), known, strict=strict), payload, {})
    if not text:
        raise InvalidInput("an empty name cannot be submitted", hint="names look like content.thumbnail.v1")
    return NameTarget(text, payload)


def _load(path: Path, known: Signatures, *, strict: bool) -> WorkflowSpec:
    if not is_there(path):
        raise NotFound(f"there is no file {path}", hint="check the path; names have no slash and no .yaml")
    return load_file(path, strict=strict, signatures=known)
