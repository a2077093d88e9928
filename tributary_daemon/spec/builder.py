"""Workflows written in Python: the same document, the same checks."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from tributary_daemon.model.retry import Retry
from tributary_daemon.spec import codes
from tributary_daemon.spec.document import check_document
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.workflow import InputSpec, WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Collection as AnyCollection
    from collections.abc import Iterable
    from collections.abc import Mapping as AnyMapping

    from tributary_daemon.spec.signatures import Signatures

_MAX_DEPTH: Final = 100
_MAX_NODES: Final = 1_000_000
_BIGGEST: Final = 10**300


class WorkflowBuilder:
    """Collects steps; ``build`` checks them all at once.

    Args:
        name: dotted, ending in ``.vN``.
        inputs: name -> declaration as in YAML, e.g. ``{"email": {"type": "string"}}``.
        defaults: options of every step that does not set them.
        result: JSON value, may hold expressions.
        description: for people.
        labels: for people and filters.
    """

    def __init__(
        self,
        name: str,
        *,
        inputs: AnyMapping[str, InputSpec | AnyMapping[str, Any]] | None = None,
        defaults: AnyMapping[str, Any] | None = None,
        result: Any = None,
        description: str | None = None,
        labels: AnyMapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._head = _given(
            name=name,
            description=description,
            labels=None if labels is None else dict(labels),
            inputs=None if inputs is None else {key: _declaration(value) for key, value in inputs.items()},
            defaults=None if defaults is None else {key: _plain(value) for key, value in defaults.items()},
            result=result,
        )
        self._steps: list[tuple[str, dict[str, Any]]] = []

    def add(
        self,
        id: str,  # noqa: A002 - the word of the language
        action: str,
        payload: Any = None,
        *,
        needs: str | Iterable[str] = (),
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: float | str | timedelta | None = None,
        retry: Retry | AnyMapping[str, Any] | None = None,
        run_after: float | str | timedelta | datetime | None = None,
        continue_on_error: bool = False,
        description: str | None = None,
        labels: AnyMapping[str, str] | None = None,
    ) -> Self:
        """Add a step.

        Args:
            id: of the step.
            action: name of the handler.
            payload: its input, any JSON value; texts may hold expressions.
            needs: ids of the steps that must have ended before.
            queue: see OPTIONS of the language; so are the next four.
            priority: higher first.
            max_attempts: executions in all.
            timeout: of one attempt; seconds, timedelta or ``"5m"``.
            retry: a policy or its fields.
            run_after: a time with its zone, or a duration after the needs are met.
            continue_on_error: a failure of this step does not fail the run.
            description: for people.
            labels: for people and filters.

        Returns:
            The builder itself.
        """
        step = {
            "task": action,
            **({} if payload is None else {"with": payload}),
            **_given(
                needs=(needs if isinstance(needs, str) else list(needs)) or None,
                queue=queue,
                priority=priority,
                max_attempts=max_attempts,
                timeout=_plain(timeout),
                retry=_plain(retry),
                run_after=_plain(run_after),
                continue_on_error=continue_on_error or None,
                description=description,
                labels=None if labels is None else dict(labels),
            ),
        }
        self._steps.append((id, step))
        return self

    def want(
        self,
        id: str,  # noqa: A002 - the word of the language
        type: str,  # noqa: A002 - see above
        given: AnyMapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Add the steps that lead to a type; they are inferred when the workflow is built.

        Args:
            id: of the step that makes it.
            type: its name.
            given: names of types -> values, which may hold expressions.
            options: as of `add`; they hold for every step.
        """
        plain = {name: _plain(value) for name, value in options.items() if value is not None}
        self._steps.append((id, {"want": type, **_given(given=dict(given) if given else None), **plain}))
        return self

    def build(
        self, signatures: Signatures | None = None, *, elsewhere: AnyCollection[str] = ()
    ) -> WorkflowSpec:
        """Check everything and return the workflow; its source is the document as JSON.

        Args:
            signatures: of handlers, to infer graphs from and to check types against.
            elsewhere: ids of steps whose payload is kept outside of the document.

        Raises:
            InvalidWorkflow: holds every fault; places are paths such as ``steps.a.needs``.
        """
        problems = Problems("", "")
        reader = _Reader(problems)
        root = Mapping("")
        for key, value in self._head.items():
            root.pairs[key] = (Scalar(key, key), reader.node(value, key, 1))
        steps = Mapping("steps")
        for step_id, step in self._steps:
            path = f"steps.{step_id}"
            if step_id in steps.pairs:
                problems.error(codes.DUPLICATE_KEY, f"the step {step_id!r} is added twice", path)
                continue
            steps.pairs[step_id] = (Scalar(step_id, path), reader.node(step, path, 2))
        root.pairs["steps"] = (Scalar("steps", "steps"), steps)
        spec = None
        if not problems.failed:
            spec = check_document(
                root,
                problems,
                default_name=str(self.name),
                source="",
                any_payload=True,
                signatures=signatures,
                elsewhere=elsewhere,
            )
        warnings = problems.finish(strict=False)
        assert spec is not None
        document = {**self._head, "steps": dict(self._steps)}
        return replace(spec, source=json.dumps(document, ensure_ascii=False, indent=1), warnings=warnings)


def node_of(value: Any, problems: Problems) -> Node:
    """Return a Python value as a node whose places are paths; what is not JSON is reported."""
    return _Reader(problems).node(value, "", 0)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _declaration(value: InputSpec | AnyMapping[str, Any]) -> Any:
    return value.to_json() if isinstance(value, InputSpec) else _plain(value)


def _plain(value: Any) -> Any:
    """Return the language's spelling of a Python option."""
    match value:
        case Retry():
            return value.to_json()
        case timedelta():
            return value.total_seconds()
        case datetime():
            # a time without zone is left as it is, and refused with the others
            return value.isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    return value


class _Reader:
    """Turns Python values into nodes; what is not JSON is reported."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._nodes = 0

    def node(self, value: Any, path: str, depth: int) -> Node:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            return self._refuse("is nested too deeply or too large", path)
        match value:
            case None | bool():
                return Scalar(value, path)
            case str():
                return self._text(value, path)
            case int():
                big = abs(value) > _BIGGEST
                return (
                    self._refuse("is a number of more than 300 digits", path) if big else Scalar(value, path)
                )
            case float():
                if math.isfinite(value):
                    return Scalar(value, path)
                return self._refuse(f"is {value}, which is not JSON", path)
            case list() | tuple():
                sequence = Sequence(path)
                sequence.items = [
                    self.node(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)
                ]
                return sequence
            case dict():
                return self._mapping(value, path, depth)
        return self._refuse(f"is a {type(value).__name__}, which is not JSON", path)

    def _mapping(self, value: dict[Any, Any], path: str, depth: int) -> Node:
        mapping = Mapping(path)
        for key, item in value.items():
            if not isinstance(key, str):
                self._problems.error(codes.NON_STRING_KEY, f"a key must be text, not {key!r}", path)
                continue
            place = f"{path}.{key}" if path else key
            self._text(key, path)
            mapping.pairs[key] = (Scalar(key, place), self.node(item, place, depth + 1))
        return mapping

    def _text(self, value: str, path: str) -> Scalar:
        try:
            value.encode()
        except UnicodeEncodeError:
            return self._refuse("holds a lone surrogate, which cannot be stored", path)
        return (
            self._refuse("holds the character NUL, which cannot be stored", path)
            if "\0" in value
            else Scalar(value, path)
        )

    def _refuse(self, fault: str, path: str) -> Scalar:
        self._problems.error(codes.NOT_JSON, f"the value {fault}", path)
        return Scalar(None, path)
