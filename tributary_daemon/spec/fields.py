"""The keys of the language: one table, read by the checks and by the JSON Schema."""

from __future__ import annotations

from typing import Any, Final

from tributary_daemon.spec.blocks import (
    AGGREGATE_KIND,
    APPROVE_KIND,
    CACHE_KIND,
    CONCURRENCY_KIND,
    HANDLER_NAME,
    KEEP_KIND,
    NAME_PATTERN,
    NAME_RULE,
    PRECONDITIONS_KIND,
    RETRY_KIND,
    UNDO_KIND,
    WAIT_KIND,
)
from tributary_daemon.spec.conditions import CONDITION
from tributary_daemon.spec.fanout import FOR_EACH, MATRIX
from tributary_daemon.spec.kinds import (
    BOOLEAN,
    JSON,
    LABELS,
    MOMENT,
    PROSE,
    SHARE,
    TEMPLATE,
    TEXT,
    duration,
    integer,
    left_to_owner,
    named,
    names,
    one_of,
    templated,
)
from tributary_daemon.spec.mappings import Field, Fields, mapping_of
from tributary_daemon.spec.schedule import SCHEDULE_KIND
from tributary_daemon.spec.workflow import INPUT_TYPES, SIMPLE_TYPES

ID_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
"""Of steps and inputs."""
WORKFLOW_NAME: Final = named("workflow name", NAME_PATTERN, NAME_RULE)
QUEUE_NAME: Final = named(
    "queue name", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", "letters, digits, `_`, `-`, `.`, at most 100"
)
VARIABLE_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]*"
"""Of environment variables and secrets."""
VARIABLE_RULE: Final = "letters, digits and `_`, not beginning with a digit"
_SECRETS: Final = names("name for a secret", VARIABLE_PATTERN, VARIABLE_RULE)

_ID_SCHEMA: Final = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
_TEXTS: Final = {
    "type": "object",
    "propertyNames": {"pattern": f"^(?!TRIB_){VARIABLE_PATTERN}$"},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_MOST_AT_ONCE: Final = 32_000


def _by_id(reference: str) -> dict[str, Any]:
    return {
        "type": "object",
        "patternProperties": {"^x-": {}, f"^{ID_PATTERN}$": {"$ref": reference}},
        "additionalProperties": False,
    }


_STEPS: Final = {**_by_id("#/definitions/step"), "minProperties": 1}
_TASK_STEP: Final = {"task": "notify.chat.v1", "with": {"text": "${{ run.name }}: ${{ run.error.message }}"}}

OPTIONS: Final[Fields] = {
    "queue": Field(QUEUE_NAME, "The queue whose workers execute it.", ("default", "heavy")),
    "priority": Field(integer(-32_000, 32_000), "Higher first; 0 unless given.", (10, -5)),
    "max_attempts": Field(integer(1, 10_000), "Executions in all, the first one included.", (3,)),
    "timeout": Field(duration(positive=True), "Longest duration of one attempt.", ("30s", "5m")),
    "retry": Field(
        RETRY_KIND,
        "When the next attempt of a failed step is due.",
        ({"backoff": "exponential", "delay": "1s", "max_delay": "5m"},),
    ),
}
"""Options that workflow ``defaults`` can set too."""

_TEMPLATED: Final[Fields] = {
    name: field if name == "retry" else Field(templated(field.kind), field.doc, field.examples)
    for name, field in OPTIONS.items()
}

STEP: Final[Fields] = {
    "task": Field(HANDLER_NAME, "The handler that executes this step.", ("shop.import_orders.v1",)),
    "run": Field(
        left_to_owner({"type": "string", "minLength": 1}),
        "A shell script; it returns `k=v` lines written to $TRIB_OUTPUT.",
        ('./load.sh "$DAY"', "echo hello"),
    ),
    "workflow": Field(
        TEXT, "A workflow to run as a step: a file, or a name.", ("./train.yaml", "shop.train.v1")
    ),
    "wait": Field(
        WAIT_KIND, "A time or a signal to wait for.", ({"for": "30s"}, {"signal": "warehouse-ready"})
    ),
    "approve": Field(APPROVE_KIND, "A question to people.", ({"prompt": "Publish it?", "timeout": "1d"},)),
    "want": Field(
        left_to_owner({"type": "string"}), "A type to produce by an inferred graph.", ("shop.EnrichedUser",)
    ),
    "given": Field(
        left_to_owner({"type": "object"}),
        "Values that an inferred graph starts from, by type.",
        ({"shop.UserID": {"id": "${{ inputs.id }}"}},),
    ),
    "with": Field(
        left_to_owner({"type": ["object", "array", "string"]}),
        "The input of the handler or of the workflow.",
        ({"email": "${{ inputs.email }}"},),
    ),
    "env": Field(
        left_to_owner(_TEXTS), "Environment variables of the shell script.", ({"DAY": "${{ inputs.day }}"},)
    ),
    "dir": Field(TEMPLATE, "The directory in which the script runs.", ("./reports",)),
    "shell": Field(
        TEXT,
        "What runs the script: bash, sh, python, or a command with {0} for its file.",
        ("bash", "python", "perl {0}"),
    ),
    "needs": Field(
        left_to_owner({"anyOf": [_ID_SCHEMA, {"type": "array", "items": _ID_SCHEMA}]}),
        "Steps that must have ended before this one.",
        ("extract", ["extract", "check"]),
    ),
    "if": Field(CONDITION, "The step runs only when this holds.", ("inputs.env == 'prod'", "failure()")),
    "for_each": Field(
        FOR_EACH, "A list: the step runs once per item.", ("${{ steps.plan.result.files }}", ["eu", "us"])
    ),
    "matrix": Field(
        MATRIX,
        "The step runs once per combination.",
        ({"model": ["small", "large"], "region": ["eu", "us"]},),
    ),
    "key": Field(TEMPLATE, "What an item is known by; its index unless given.", ("${{ item.name }}",)),
    "max_parallel": Field(integer(1, _MOST_AT_ONCE), "Items at once; all unless given.", (8,)),
    "fail_fast": Field(BOOLEAN, "Whether failed items end the others; true unless given.", (False,)),
    "tolerate": Field(SHARE, "How many items may fail: a number or a share.", (3, "10%")),
    "aggregate": Field(
        AGGREGATE_KIND,
        "A handler that makes one result of those of all items.",
        ({"task": "shop.sum.v1", "with": {"parts": "${{ steps.load.items }}"}},),
    ),
    **_TEMPLATED,
    "run_after": Field(
        templated(MOMENT), "A time, or a duration after the needs are met.", ("10m", "2026-03-01T06:00:00Z")
    ),
    "continue_on_error": Field(BOOLEAN, "A failure of this step does not fail the run.", (True,)),
    "cache": Field(CACHE_KIND, "Reuse of earlier results.", ({"scope": "global", "ttl": "1h"},)),
    "concurrency": Field(
        CONCURRENCY_KIND, "A group that limits what runs at once.", ({"group": "warehouse", "limit": 2},)
    ),
    "undo": Field(
        UNDO_KIND,
        "How to make this step undone when the run fails.",
        ({"task": "shop.cancel_order.v1", "with": {"order": "${{ steps.order.result.id }}"}},),
    ),
    "labels": Field(LABELS, "Words for people and filters.", ({"team": "data"},)),
    "description": Field(PROSE, "A sentence for people.", ("Loads the orders of a day",)),
}
ACTIONS: Final = ("task", "run", "workflow", "wait", "approve", "want")

INPUT: Final[Fields] = {
    "type": Field(one_of(INPUT_TYPES), "The type of the value.", ("string", "integer", "choice")),
    "default": Field(JSON, "The value when none is given.", ("guest", 3)),
    "required": Field(BOOLEAN, "Whether a value must be given; true unless there is a default.", (False,)),
    "options": Field(
        left_to_owner({"type": "array", "minItems": 1}), "The values of a choice.", (["dev", "prod"],)
    ),
    "min": Field(JSON, "Smallest number, shortest text or list, earliest date.", (1, "2026-01-01")),
    "max": Field(JSON, "Largest number, longest text or list, latest date.", (100, "2026-12-31")),
    "pattern": Field(TEXT, "A regular expression that must be found in the text.", (r"^\S+@\S+$",)),
    "items": Field(
        left_to_owner({"anyOf": [{"enum": list(SIMPLE_TYPES)}, {"$ref": "#/definitions/input"}]}),
        "What a list holds: a type, or a mapping like an input.",
        ("string", {"type": "integer", "min": 0}),
    ),
    "description": Field(PROSE, "A sentence for people.", ("Address of the new user",)),
}

WORKFLOW: Final[Fields] = {
    "name": Field(WORKFLOW_NAME, "Dotted, ending in .vN; the file's stem unless given.", ("shop.import.v1",)),
    "description": Field(PROSE, "A sentence for people.", ("Imports the orders of a day",)),
    "labels": Field(LABELS, "Words for people and filters.", ({"team": "data"},)),
    "inputs": Field(
        left_to_owner(_by_id("#/definitions/input")), "What a run is given.", ({"email": {"type": "string"}},)
    ),
    "secrets": Field(_SECRETS, "Names of secrets that env and with may read.", (["PGPASSWORD"],)),
    "env": Field(
        left_to_owner(_TEXTS), "Environment variables of every shell step.", ({"LOG_LEVEL": "info"},)
    ),
    "timeout": Field(duration(positive=True), "Longest duration of a run.", ("2h",)),
    "max_parallel": Field(integer(1, _MOST_AT_ONCE), "Steps of a run at once; all unless given.", (8,)),
    "fail_fast": Field(
        BOOLEAN, "Whether the first failure cancels what is left; false unless given.", (True,)
    ),
    "concurrency": Field(
        CONCURRENCY_KIND,
        "A group that limits how many runs there are at once.",
        ({"group": "etl-${{ inputs.env }}", "limit": 1, "on_limit": "queue"},),
    ),
    "schedule": Field(
        SCHEDULE_KIND,
        "When runs start by themselves.",
        ("*/5 * * * *", [{"cron": "15 2 * * *", "timezone": "Europe/Berlin", "overlap": "skip"}]),
    ),
    "preconditions": Field(
        PRECONDITIONS_KIND,
        "What must hold before a run is accepted.",
        ([{"if": "inputs.first <= inputs.last", "message": "the last day is before the first"}],),
    ),
    "defaults": Field(
        mapping_of(OPTIONS, "defaults"),
        "Options of every step that does not set them.",
        ({"queue": "heavy", "timeout": "10m"},),
    ),
    "steps": Field(left_to_owner(_STEPS), "The steps by id.", ({"hello": {"run": "echo hello"}},)),
    "result": Field(
        left_to_owner({}), "The result of a run.", ({"user_id": "${{ steps.create.result.id }}"},)
    ),
    "on_success": Field(
        left_to_owner(_STEPS), "Steps that follow when all went well.", ({"tell": _TASK_STEP},)
    ),
    "on_failure": Field(
        left_to_owner(_STEPS), "Steps that follow when the run failed.", ({"alert": _TASK_STEP},)
    ),
    "on_cancel": Field(
        left_to_owner(_STEPS), "Steps that follow when the run was cancelled.", ({"tell": _TASK_STEP},)
    ),
    "finally": Field(
        left_to_owner(_STEPS),
        "Steps that come last, however the run ended.",
        ({"clean": {"run": "rm -rf /tmp/x"}},),
    ),
    "keep": Field(KEEP_KIND, "How long finished runs are kept.", ({"days": 90, "runs": 200},)),
}
