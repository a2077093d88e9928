"""The keys of the language: one table, read by the checks and by the JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.retry import BACKOFFS, Retry
from tributary_daemon.spec import codes
from tributary_daemon.spec.kinds import (
    BOOLEAN,
    DURATION,
    INVALID,
    JSON,
    LABELS,
    MOMENT,
    PROSE,
    TEXT,
    Kind,
    duration,
    integer,
    left_to_owner,
    list_of,
    named,
    number,
    one_of,
    refuse_type,
)
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar
from tributary_daemon.spec.workflow import INPUT_TYPES

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

Fields = dict[str, "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """A key of the language.

    Attributes:
        kind: what its value is; None when this version knows the key but does not support it.
        doc: one sentence, shown in editors.
    """

    kind: Kind | None
    doc: str


def read_fields(node: Mapping, fields: Fields, where: str, problems: Problems) -> dict[str, Any]:
    """Return the valid values of a mapping by key; every other pair is reported.

    Args:
        node: the mapping.
        fields: the keys it may have; ``x-*`` is free.
        where: what it is, in words: ``a step``.
        problems: the collector.
    """
    values: dict[str, Any] = {}
    for name, (key, value) in node.pairs.items():
        field = fields.get(name)
        if field is None:
            if not name.startswith("x-"):
                _unknown(key, fields, where, problems)
        elif field.kind is None:
            problems.error(
                codes.UNSUPPORTED,
                f"`{name}` is part of the language but not supported yet",
                key,
                hint=f"supported in {where}: {', '.join(supported(fields))}",
            )
        elif (read := field.kind.read(value, name, problems)) is not INVALID:
            values[name] = read
    return values


def supported(fields: Fields) -> list[str]:
    """Return the keys that this version supports."""
    return [name for name, field in fields.items() if field.kind is not None]


def _unknown(key: Scalar, fields: Fields, where: str, problems: Problems) -> None:
    word = str(key.value)
    allowed = [*supported(fields), "x-*"]

    def hint() -> str:
        foreign = FOREIGN.get(word.lower().replace("-", "_"))
        if foreign is None:
            return suggest(word, list(fields), shown=allowed)
        if " " not in foreign:
            elsewhere = "" if foreign in fields else " of a workflow" if foreign in WORKFLOW else " of a step"
            foreign = f"Tributary says `{foreign}`{elsewhere}"
        return f"{foreign}; known: {', '.join(allowed)}"

    problems.error(codes.UNKNOWN_KEY, f"unknown key {word!r} in {where}", key, hint=hint)


def mapping_of(fields: Fields, where: str) -> Kind:
    """Return the kind of mappings with these keys."""

    def read(node: Node, key: str, problems: Problems) -> Any:
        if not isinstance(node, Mapping):
            return refuse_type(node, key, "a mapping", problems, hint=f"keys: {', '.join(supported(fields))}")
        return read_fields(node, fields, where, problems)

    return Kind(mapping_schema(fields), read)


def mapping_schema(fields: Fields, *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the JSON Schema of a mapping with these keys."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: {"description": field.doc, **field.kind.schema}
            for name, field in fields.items()
            if field.kind is not None
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


def _read_retry(node: Node, key: str, problems: Problems) -> Any:
    if isinstance(node, Scalar) and isinstance(node.value, int):
        return refuse_type(
            node,
            key,
            "a mapping",
            problems,
            hint=f"for {node.value} executions in all write max_attempts: {node.value}",
        )
    values = _RETRY_MAPPING.read(node, key, problems)
    if values is INVALID:
        return INVALID
    try:
        Retry(**values)
    except InvalidInput as error:
        problems.error(codes.BAD_VALUE, error.message, node, hint=error.hint)
        return INVALID
    return values


FOREIGN: Final[dict[str, str]] = {
    "outputs": "result",
    "output": "result",
    "returns": "result",
    "depends_on": "needs",
    "depends": "needs",
    "dependson": "needs",
    "dependencies": "needs",
    "after": "needs",
    "uses": "task",
    "action": "task",
    "handler": "task",
    "call": "task",
    "command": "run",
    "cmd": "run",
    "script": "run",
    "when": "if",
    "condition": "if",
    "retries": "max_attempts",
    "attempts": "max_attempts",
    "limit": "max_attempts is written beside retry: it counts all executions",
    "max": "max_attempts is written beside retry: it counts all executions",
    "max_attempts": "max_attempts is written beside retry: it counts all executions",
    "max_retries": "max_attempts",
    "args": "with",
    "params": "with",
    "parameters": "with",
    "arguments": "with",
    "payload": "with",
    "environment": "env",
    "timeout_sec": "timeout",
    "timeout_minutes": "timeout",
    "timeout_seconds": "timeout",
    "allow_failure": "continue_on_error",
    "continue_on": "continue_on_error",
    "jobs": "steps",
    "tasks": "steps",
    "delay": "run_after",
    "id": "the id of a step is its key: `my_id: {task: …}`",
    "<<": "YAML 1.2 has no merge keys: put shared options under `defaults`",
    "enum": "options",
    "choices": "options",
    "minimum": "min",
    "maximum": "max",
    "regex": "pattern",
    "interval": "delay",
    "factor": "multiplier",
}
"""Words of other tools -> ours, or a whole sentence."""

ID_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
"""Of steps and inputs."""
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*"
_NAME_RULE = "letters, digits, `_`, `-`, in parts joined by dots, e.g. shop.import_orders.v1"
HANDLER_NAME: Final = named("task name", _NAME, _NAME_RULE)
WORKFLOW_NAME: Final = named("workflow name", _NAME, _NAME_RULE)
QUEUE_NAME: Final = named(
    "queue name", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", "letters, digits, `_`, `-`, `.`, at most 100"
)

_ID_SCHEMA: Final = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
_TEXTS: Final = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}


def _by_id(reference: str) -> dict[str, Any]:
    return {
        "type": "object",
        "patternProperties": {"^x-": {}, f"^{ID_PATTERN}$": {"$ref": reference}},
        "additionalProperties": False,
    }


RETRY: Final[Fields] = {
    "backoff": Field(one_of(BACKOFFS), "How the wait grows from attempt to attempt."),
    "delay": Field(DURATION, "The first wait."),
    "multiplier": Field(number(1, 100), "Growth of an exponential wait."),
    "max_delay": Field(DURATION, "Upper bound of every wait."),
    "jitter": Field(number(0, 1), "Share by which waits vary at random; 0.1 means ±10%."),
    "budget": Field(DURATION, "No attempt starts later than this after the first one."),
    "on": Field(list_of(TEXT), "Names of the only errors to retry."),
    "not_on": Field(list_of(TEXT), "Names of errors that are never retried."),
    "on_exit": Field(list_of(integer(0, 255)), "The only exit codes of a shell step to retry."),
}
_RETRY_MAPPING: Final = mapping_of(RETRY, "retry")

OPTIONS: Final[Fields] = {
    "queue": Field(QUEUE_NAME, "The queue whose workers execute it."),
    "priority": Field(integer(-32_000, 32_000), "Higher first; 0 unless given."),
    "max_attempts": Field(integer(1, 10_000), "Executions in all, the first one included."),
    "timeout": Field(duration(positive=True), "Longest duration of one attempt."),
    "retry": Field(
        Kind(_RETRY_MAPPING.schema, _read_retry), "When the next attempt of a failed step is due."
    ),
}
"""Options that workflow ``defaults`` can set too."""

STEP: Final[Fields] = {
    "task": Field(HANDLER_NAME, "The handler that executes this step."),
    "run": Field(left_to_owner({"type": "string", "minLength": 1}), "A shell script."),
    "workflow": Field(None, "A workflow to run as a step."),
    "wait": Field(None, "A time or a signal to wait for."),
    "approve": Field(None, "A question to people."),
    "want": Field(left_to_owner({"type": "string"}), "A type to produce by an inferred graph."),
    "given": Field(left_to_owner({"type": "object"}), "Types -> values that an inferred graph starts from."),
    "with": Field(left_to_owner({"type": ["object", "array", "string"]}), "The input of the handler."),
    "env": Field(left_to_owner(_TEXTS), "Environment variables of the shell script."),
    "needs": Field(
        left_to_owner({"anyOf": [_ID_SCHEMA, {"type": "array", "items": _ID_SCHEMA}]}),
        "Steps that must have ended before this one.",
    ),
    "if": Field(None, "A condition."),
    "for_each": Field(None, "A list: the step runs once per item."),
    "key": Field(None, "The identity of an item."),
    "matrix": Field(None, "The step runs once per combination."),
    "max_parallel": Field(None, "Items at once."),
    "fail_fast": Field(None, "Stop the other items when one fails."),
    "tolerate": Field(None, "Items that may fail."),
    "aggregate": Field(None, "A task over the results of all items."),
    **OPTIONS,
    "run_after": Field(MOMENT, "A time, or a duration after the needs are met."),
    "continue_on_error": Field(BOOLEAN, "A failure of this step does not fail the run."),
    "cache": Field(None, "Reuse of earlier results."),
    "concurrency": Field(None, "A group that limits what runs at once."),
    "undo": Field(None, "How to compensate this step."),
    "dir": Field(None, "The directory of the script."),
    "shell": Field(None, "The shell of the script."),
    "labels": Field(LABELS, "Words for people and filters."),
    "description": Field(PROSE, "A sentence for people."),
}
ACTIONS: Final = ("task", "run", "workflow", "wait", "approve", "want")

INPUT: Final[Fields] = {
    "type": Field(one_of(INPUT_TYPES), "The type of the value."),
    "default": Field(JSON, "The value when none is given."),
    "required": Field(BOOLEAN, "Whether a value must be given; true unless there is a default."),
    "options": Field(left_to_owner({"type": "array", "minItems": 1}), "The values of a choice."),
    "min": Field(JSON, "Smallest number, shortest text or list, earliest date."),
    "max": Field(JSON, "Largest number, longest text or list, latest date."),
    "pattern": Field(TEXT, "A regular expression that must be found in the text."),
    "items": Field(
        left_to_owner({"anyOf": [{"enum": list(INPUT_TYPES)}, {"$ref": "#/$defs/input"}]}),
        "What a list holds: a type, or a mapping like an input.",
    ),
    "description": Field(PROSE, "A sentence for people."),
}

WORKFLOW: Final[Fields] = {
    "name": Field(WORKFLOW_NAME, "Dotted, ending in .vN; the file's stem unless given."),
    "description": Field(PROSE, "A sentence for people."),
    "labels": Field(LABELS, "Words for people and filters."),
    "inputs": Field(left_to_owner(_by_id("#/$defs/input")), "What a run is given."),
    "secrets": Field(None, "Names of secrets."),
    "env": Field(None, "Environment variables of every shell step."),
    "timeout": Field(None, "Longest duration of a run."),
    "max_parallel": Field(None, "Steps at once."),
    "fail_fast": Field(None, "Stop the other steps when one fails."),
    "concurrency": Field(None, "A group that limits what runs at once."),
    "schedule": Field(None, "When runs start by themselves."),
    "preconditions": Field(None, "What must hold before a run is accepted."),
    "defaults": Field(mapping_of(OPTIONS, "defaults"), "Options of every step that does not set them."),
    "steps": Field(left_to_owner({**_by_id("#/$defs/step"), "minProperties": 1}), "The steps by id."),
    "result": Field(left_to_owner({}), "The result of a run."),
    "on_success": Field(None, "Steps after success."),
    "on_failure": Field(None, "Steps after failure."),
    "on_cancel": Field(None, "Steps after a cancel."),
    "finally": Field(None, "Steps after everything."),
    "keep": Field(None, "How long finished runs are kept."),
}
