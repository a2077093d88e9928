"""The ``schedule`` of a workflow: its shape; what a cron text means is known to `check_cron` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import cron as crons
from tributary_daemon.model.zones import zone_of
from tributary_daemon.spec import codes
from tributary_daemon.spec.inputs import check_inputs
from tributary_daemon.spec.kinds import (
    DURATION,
    INVALID,
    JSON,
    TEXT,
    Kind,
    list_of,
    one_of,
    refuse_expressions,
    refuse_type,
)
from tributary_daemon.spec.mappings import Field, Fields, mapping_of
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping as AnyMapping

    from tributary_daemon.spec.problems import Problems
    from tributary_daemon.spec.workflow import InputSpec

_EXAMPLE: Final = 'schedule: "*/5 * * * *" or schedule: [{cron: "15 2 * * *", timezone: Europe/Berlin}]'
_DEFAULTS: Final[dict[str, Any]] = {
    "timezone": "UTC",
    "overlap": "skip",
    "catchup": 0.0,
    "jitter": 0.0,
    "inputs": {},
}


def check_cron(text: str, node: Node, problems: Problems) -> bool:
    """Report a text that is no cron expression; return whether it is one."""
    try:
        crons.parse(text)
    except InvalidInput as error:
        problems.error(codes.BAD_SCHEDULE, error.message, node, hint=error.hint)
        return False
    return True


def _read_cron(node: Node, key: str, problems: Problems) -> Any:
    value = TEXT.read(node, key, problems)
    return value if value is INVALID or check_cron(value, node, problems) else INVALID


def _read_zone(node: Node, key: str, problems: Problems) -> Any:
    value = TEXT.read(node, key, problems)
    if value is INVALID:
        return INVALID
    try:
        zone_of(value)
    except InvalidInput as error:
        problems.error(codes.BAD_SCHEDULE, error.message, node, hint=error.hint)
        return INVALID
    return value


def _read_inputs(node: Node, key: str, problems: Problems) -> Any:
    if not isinstance(node, Mapping):
        return refuse_type(node, key, "a mapping", problems, hint="inputs: {env: prod}")
    return JSON.read(node, key, problems)


SCHEDULE: Final[Fields] = {
    "cron": Field(Kind({"type": "string"}, _read_cron), "When, in the five fields of cron.", ("15 2 * * *",)),
    "timezone": Field(
        Kind({"type": "string"}, _read_zone), "Whose clock counts; UTC unless given.", ("Europe/Berlin",)
    ),
    "overlap": Field(
        one_of(("skip", "queue", "allow")),
        "What happens when the run before has not ended.",
        ("skip", "queue"),
    ),
    "catchup": Field(DURATION, "How old a missed time may be and still be made up for.", ("6h",)),
    "jitter": Field(DURATION, "Starts are spread at random over so much time.", ("2m",)),
    "inputs": Field(Kind({"type": "object"}, _read_inputs), "The inputs of these runs.", ({"env": "prod"},)),
}
_MAPPING: Final = mapping_of(SCHEDULE, "a schedule", required=("cron",), example=_EXAMPLE)


def _read_one(node: Node, key: str, problems: Problems) -> Any:
    if isinstance(node, Sequence) or (isinstance(node, Scalar) and not isinstance(node.value, str)):
        return refuse_type(node, key, "a cron text or a mapping", problems, hint=_EXAMPLE)
    values = (
        _MAPPING.read(node, key, problems)
        if isinstance(node, Mapping)
        else {"cron": _read_cron(node, key, problems)}
    )
    return INVALID if values is INVALID or INVALID in values.values() else {**_DEFAULTS, **values}


SCHEDULE_KIND: Final = list_of(
    Kind({"anyOf": [{"type": "string"}, _MAPPING.schema]}, _read_one), keep_faulty=True
)


def check_scheduled_inputs(
    node: Node | None,
    schedules: list[dict[str, Any] | None],
    inputs: AnyMapping[str, InputSpec],
    problems: Problems,
) -> None:
    """Report inputs of schedules that a run would not take.

    Args:
        node: the value of ``schedule``.
        schedules: what was read from it.
        inputs: the declared inputs.
        problems: the collector.
    """
    if node is None:
        return
    items = node.items if isinstance(node, Sequence) else [node]
    for item, schedule in zip(items, schedules, strict=True):
        if schedule is None:
            continue
        written = item.get("inputs") if isinstance(item, Mapping) else None
        if written is not None and refuse_expressions(written, "schedule.inputs", problems):
            continue
        try:
            check_inputs(inputs, schedule["inputs"])
        except InvalidInput as error:
            for fault in error.message.splitlines():
                problems.error(codes.BAD_SCHEDULE, f"a scheduled run is refused: {fault}", written or item)
