"""The keys inside the keys: retry, cache, wait and others that hold a mapping of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.retry import BACKOFFS, Retry
from tributary_daemon.spec import codes
from tributary_daemon.spec.conditions import CONDITION
from tributary_daemon.spec.kinds import (
    DURATION,
    INVALID,
    JSON,
    PROSE,
    TEMPLATE,
    TEXT,
    TIME,
    Kind,
    duration,
    integer,
    left_to_owner,
    list_of,
    named,
    number,
    one_of,
    refuse_type,
    templated,
)
from tributary_daemon.spec.mappings import Field, Fields, mapping_of
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*"
NAME_RULE: Final = "letters, digits, `_`, `-`, in parts joined by dots, e.g. shop.import_orders.v1"
HANDLER_NAME: Final = named("task name", NAME_PATTERN, NAME_RULE)
_LONG: Final = duration(positive=True)
_MOST: Final = 1_000_000

RETRY: Final[Fields] = {
    "backoff": Field(
        one_of(BACKOFFS), "How the wait grows from attempt to attempt.", ("exponential", "fixed")
    ),
    "delay": Field(DURATION, "The first wait.", ("1s", "500ms")),
    "multiplier": Field(number(1, 100), "Growth of an exponential wait.", (2, 1.5)),
    "max_delay": Field(DURATION, "Upper bound of every wait.", ("5m",)),
    "jitter": Field(number(0, 1), "Share by which waits vary at random; 0.1 means ±10%.", (0.1,)),
    "budget": Field(DURATION, "No attempt starts later than this after the first one.", ("1h",)),
    "on": Field(list_of(TEXT), "Names or patterns: all that is retried.", (["ConnectionError", "Timeout"],)),
    "not_on": Field(list_of(TEXT), "Names or patterns: what is never retried.", (["ValueError"],)),
    "on_exit": Field(list_of(integer(0, 255)), "The only exit codes of a shell step to retry.", ([75],)),
}
_RETRY_MAPPING: Final = mapping_of(RETRY, "retry")


def _read_retry(node: Node, key: str, problems: Problems) -> Any:
    if isinstance(node, Scalar) and isinstance(node.value, int):
        hint = f"for {node.value} executions in all write max_attempts: {node.value}"
        return refuse_type(node, key, "a mapping", problems, hint=hint)
    values = _RETRY_MAPPING.read(node, key, problems)
    if values is INVALID:
        return INVALID
    try:
        Retry(**values)
    except InvalidInput as error:
        problems.error(codes.BAD_VALUE, error.message, node, hint=error.hint)
        return INVALID
    return values


RETRY_KIND: Final = Kind(_RETRY_MAPPING.schema, _read_retry)

CACHE: Final[Fields] = {
    "scope": Field(one_of(("run", "global")), "Whose results count: of this run, or of all.", ("global",)),
    "ttl": Field(
        _LONG,
        "How long a result may be used again. Unless given for ever, or 30 days in scope run.",
        ("1h", "7d"),
    ),
    "key": Field(
        TEMPLATE,
        "What tells results apart; handler, version and input unless given.",
        ("orders-${{ inputs.day }}",),
    ),
}
_CACHE_MAPPING: Final = mapping_of(CACHE, "cache", example="cache: {scope: global, ttl: 1h}")


def _read_cache(node: Node, key: str, problems: Problems) -> Any:
    values = _CACHE_MAPPING.read(node, key, problems)
    return INVALID if values is INVALID else {"scope": "run", **values}


CACHE_KIND: Final = Kind(_CACHE_MAPPING.schema, _read_cache)

CONCURRENCY: Final[Fields] = {
    "group": Field(TEMPLATE, "What shares the limit has the same group.", ("etl-${{ inputs.env }}",)),
    "limit": Field(integer(1, _MOST), "How many of the group at once; 1 unless given.", (1, 4)),
    "on_limit": Field(
        one_of(("queue", "cancel_pending", "cancel_running", "reject")),
        "What happens to one more; it waits unless given.",
        ("queue", "cancel_running"),
    ),
}
_CONCURRENCY_MAPPING: Final = mapping_of(
    CONCURRENCY,
    "concurrency",
    required=("group",),
    example='concurrency: {group: "etl-${{ inputs.env }}", limit: 1}',
)


def _read_concurrency(node: Node, key: str, problems: Problems) -> Any:
    values = _CONCURRENCY_MAPPING.read(node, key, problems)
    return INVALID if values is INVALID else {"limit": 1, "on_limit": "queue", **values}


CONCURRENCY_KIND: Final = Kind(_CONCURRENCY_MAPPING.schema, _read_concurrency)

CALL: Final[Fields] = {
    "task": Field(HANDLER_NAME, "The handler that is called.", ("shop.cancel_order.v1",)),
    "with": Field(JSON, "Its input.", ({"order_id": "${{ inputs.order_id }}"},)),
}


def _call(where: str, example: str) -> Kind:
    mapping = mapping_of(CALL, where, required=("task",), example=f"{where}: {{task: {example}}}")

    def read(node: Node, key: str, problems: Problems) -> Any:
        values = mapping.read(node, key, problems)
        if values is INVALID:
            return INVALID
        # without `with` the handler gets what goes without saying: nothing, or the results of all items
        return {"name": values["task"], **({"with": values["with"]} if "with" in values else {})}

    return Kind(mapping.schema, read)


UNDO_KIND: Final = _call("undo", "shop.cancel_order.v1")
AGGREGATE_KIND: Final = _call("aggregate", "shop.sum.v1")

_TIMED_OUT: Final = one_of(("fail", "continue"))
WAIT: Final[Fields] = {
    "for": Field(templated(_LONG), "A duration from the moment the needs are met.", ("30s", "2d")),
    "until": Field(templated(TIME), "A time.", ("2026-03-01T06:00:00Z", "${{ inputs.start }}")),
    "signal": Field(TEMPLATE, "The name of a signal to the run.", ("warehouse-ready",)),
    "payload": Field(JSON, "What the payload of the signal must hold.", ({"day": "${{ inputs.day }}"},)),
    "timeout": Field(_LONG, "The longest wait for the signal.", ("3h",)),
    "on_timeout": Field(
        _TIMED_OUT, "What comes of it when no signal came; it fails unless given.", ("continue",)
    ),
}
_WAIT_MAPPING: Final = mapping_of(WAIT, "wait", example="wait: {for: 30s} or wait: {signal: warehouse-ready}")
_WAITS: Final = ("for", "until", "signal")


def _read_wait(node: Node, key: str, problems: Problems) -> Any:
    values = _WAIT_MAPPING.read(node, key, problems)
    if values is INVALID or not isinstance(node, Mapping):
        return INVALID
    written = [name for name in _WAITS if name in node.pairs]
    if len(written) != 1:
        what = " and ".join(f"`{name}`" for name in written) if written else "nothing to wait for"
        at = node.pairs[written[1]][0] if written else node
        hint = "wait has exactly one of: for, until, signal"
        problems.error(codes.ONE_ACTION, f"wait has {what}", at, hint=hint)
        return INVALID
    sound = True
    for name in ("payload", "timeout", "on_timeout"):
        if name in node.pairs and "signal" not in written:
            message = f"`{name}` belongs to a wait for a signal, not to `{written[0]}`"
            problems.error(codes.KEY_OUT_OF_PLACE, message, node.pairs[name][0], hint="remove it")
            sound = False
    return values if sound and written[0] in values else INVALID


WAIT_KIND: Final = Kind(
    {**_WAIT_MAPPING.schema, "oneOf": [{"required": [name]} for name in _WAITS]}, _read_wait
)

APPROVE: Final[Fields] = {
    "prompt": Field(TEMPLATE, "The question.", ("Publish ${{ steps.count.result.rows }} rows?",)),
    "form": Field(
        left_to_owner(
            {
                "type": "object",
                "patternProperties": {
                    "^x-": {},
                    r"^[A-Za-z_][A-Za-z0-9_-]{0,99}$": {"$ref": "#/definitions/input"},
                },
                "additionalProperties": False,
            }
        ),
        "What the answer has to hold, declared like inputs.",
        ({"comment": {"type": "string", "required": False}},),
    ),
    "timeout": Field(_LONG, "How long an answer is waited for.", ("1d",)),
    "on_timeout": Field(
        _TIMED_OUT, "What comes of it when nobody answered; it fails unless given.", ("continue",)
    ),
}
APPROVE_KIND: Final = mapping_of(APPROVE, "approve", example="approve: {prompt: Publish it?}")

PRECONDITION: Final[Fields] = {
    "if": Field(CONDITION, "What must hold.", ("inputs.env != 'prod' || !inputs.dry_run",)),
    "message": Field(PROSE, "What is said when it does not hold.", ("no dry runs on prod",)),
}
_PRECONDITION_MAPPING: Final = mapping_of(
    PRECONDITION,
    "a precondition",
    required=("if",),
    example='preconditions: [{if: "inputs.n > 0", message: nothing to do}]',
)


def _read_precondition(node: Node, key: str, problems: Problems) -> Any:
    if isinstance(node, Mapping):
        values = _PRECONDITION_MAPPING.read(node, key, problems)
        return INVALID if values is INVALID else {"if": values["if"], "message": values.get("message")}
    if isinstance(node, Sequence):
        return refuse_type(node, key, "an expression or a mapping with if and message", problems)
    value = CONDITION.read(node, key, problems)
    return INVALID if value is INVALID else {"if": value, "message": None}


PRECONDITIONS_KIND: Final = list_of(
    Kind({"anyOf": [CONDITION.schema, _PRECONDITION_MAPPING.schema]}, _read_precondition), keep_faulty=True
)

KEEP: Final[Fields] = {
    "days": Field(integer(1, 36_500), "Finished runs older than this are removed.", (90,)),
    "runs": Field(integer(1, _MOST), "Only this many finished runs are kept.", (200,)),
}
_KEEP_MAPPING: Final = mapping_of(KEEP, "keep", example="keep: {days: 90, runs: 200}")


def _read_keep(node: Node, key: str, problems: Problems) -> Any:
    values = _KEEP_MAPPING.read(node, key, problems)
    if values == {}:
        problems.error(codes.MISSING_KEY, "keep says nothing", node, hint="keep: {days: 90, runs: 200}")
        return INVALID
    return values


KEEP_KIND: Final = Kind(_KEEP_MAPPING.schema, _read_keep)
