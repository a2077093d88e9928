"""A plan for people: what runs when, step by step; only options that somebody chose are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model import durations
from tributary_daemon.tools import options
from tributary_daemon.tools.planning import bound_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN: Final = 12
_WIDTH: Final = 100
_DURATIONS: Final = frozenset({"for", "timeout", "ttl", "catchup", "jitter"})
_HEAD: Final = (
    "timeout",
    "max_parallel",
    "concurrency",
    "schedule",
    "preconditions",
    "keep",
    "secrets",
    "env",
)

Pair = tuple[str, str]


def head(plan: Mapping[str, Any]) -> Iterator[Pair]:
    """Yield what holds for the whole workflow, as (word, text)."""
    yield "workflow", plan["name"]
    if plan["description"]:
        yield "", plan["description"]
    yield from zip(("inputs", *[""] * len(plan["inputs"])), map(_input, plan["inputs"].items()), strict=False)
    levels = plan["levels"]
    widest = max(map(len, levels), default=0)
    steps = _count(sum(map(len, levels)), "step")
    yield "steps", f"{steps} in {_count(len(levels), 'level')}, {widest} side by side at most"
    path = plan["critical_path"]
    shown = path["steps"]
    if len(shown) > _SHOWN:
        half = _SHOWN // 2
        shown = [*shown[:half], "…", *shown[-half:]]
    length = _count(path["length"], "step")
    yield "critical path", f"{' -> '.join(shown)}  ({length}, {bound_text(path['longest'])})"
    endless = ": a step has neither timeout nor bound" if plan["longest"] is None else ""
    yield "longest", bound_text(plan["longest"]) + endless
    for name in _HEAD:
        if name in plan:
            yield name, _text(name, plan[name])
    if plan["fail_fast"]:
        yield "fail_fast", "the first failure cancels what is left"


def parts(plan: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Yield headings with their steps: the levels, then hooks level by level."""
    by_id = {step["id"]: step for step in plan["steps"]}
    for number, ids in enumerate(plan["levels"], 1):
        beside = f"  {len(ids)} steps side by side" if len(ids) > 1 else ""
        yield f"level {number}{beside}", [by_id[step_id] for step_id in ids]
    for hook, hook_levels in plan["hooks"].items():
        yield hook, [by_id[step_id] for ids in hook_levels for step_id in ids]


def details(step: Mapping[str, Any]) -> Iterator[Pair]:
    """Yield what is to be said of one step, as (word, text)."""
    if step["needs"]:
        named = [f"{need} (implied)" if need in step["implied"] else need for need in step["needs"]]
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        yield "needs", ", ".join(named[:_SHOWN]) + more
    if "condition" in step:
        holds = {None: "", True: "  (holds with these inputs)", False: "  (does not hold: skipped)"}[
            step["holds"]
        ]
        yield "if", step["condition"] + holds
    if "items" in step:
        yield "items", _items(step)
    for word in ("key", "aggregate", "wait", "approve", "cache", "concurrency", "undo"):
        if word in step:
            yield word, _text(word, step[word])
    if "workflow" in step:
        here = "" if step["workflow"]["here"] else "  (registered elsewhere: not part of this file)"
        yield "workflow", step["workflow"]["name"] + here
    if "run_after" in step:
        later = step["run_after"]
        yield (
            "run_after",
            f"{durations.text(later)} after its needs" if isinstance(later, (int, float)) else later,
        )
    chosen = [
        f"{name} {options.text(name, each['value'])} ({each['level']})"
        for name, each in step["options"].items()
        if each["level"] != "built-in"
    ]
    if chosen:
        yield "options", ", ".join(chosen)
    if step.get("continue_on_error"):
        yield "failure", "is tolerated"
    if step.get("handler") == "not imported":
        yield "handler", "not imported here: its own options are not known"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _input(pair: tuple[str, Mapping[str, Any]]) -> str:
    name, each = pair
    if each["from"] is None:
        return f"{name} ({each['type']}): required, not given"
    return f"{name} ({each['type']}) = {_cut(json.dumps(each['value'], ensure_ascii=False))}  {each['from']}"


def _items(step: Mapping[str, Any]) -> str:
    fan_out = step["items"]
    count = fan_out["count"]
    parts_ = ["known when it runs" if count is None else _count(count, "item"), f"by {fan_out['by']}"]
    if fan_out["max_parallel"]:
        parts_.append(f"{fan_out['max_parallel']} at once")
    if "tolerate" in step:
        parts_.append(f"{step['tolerate']} may fail")
    if not fan_out["fail_fast"]:
        parts_.append("the others go on when one fails")
    return ", ".join(parts_)


def _text(word: str, value: Any) -> str:
    if word == "timeout":
        return durations.text(value)
    if word in ("undo", "aggregate"):
        given = f" with {_spelled(value['with'])}" if value.get("with") else ""
        return _cut(value["name"] + given)
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return _cut(_spelled(value))


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_paired(key, item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return "; ".join(map(_spelled, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _paired(key: str, value: Any) -> str:
    if key in _DURATIONS and isinstance(value, (int, float)) and not isinstance(value, bool):
        return durations.text(value)
    return _spelled(value)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
