"""How Dagu spells parameters and pairs: several forms for each."""

from __future__ import annotations

import re
from typing import Any, Final

from tributary_daemon.tools.convert.draft import duration
from tributary_daemon.tools.convert.source import Map, Seq, text

PAIR: Final = re.compile(r"""([A-Za-z_][\w-]*)=("[^"]*"|'[^']*'|\S*)""")


def params(given: Any) -> list[tuple[str, Any]]:
    """Return parameters with their values or declarations, in any of their forms."""
    if isinstance(given, str):
        return [(key, value.strip("\"'")) for key, value in PAIR.findall(given)]
    if isinstance(given, Map):
        return list(given.items())
    found: list[tuple[str, Any]] = []
    for each in given if isinstance(given, Seq) else ():
        if isinstance(each, Map):
            found.extend([(text(each["name"]), each)] if "name" in each else each.items())
        else:
            found.extend(PAIR.findall(text(each)))
    return found


def first_of(owner: Map, *keys: str) -> tuple[Any, int]:
    """Return the value under the first of several spellings, and its line."""
    for key in keys:
        if key in owner:
            return owner[key], owner.lines[key]
    return None, 0


def pairs_of(given: Any) -> list[tuple[str, Any]]:
    """Return the pairs of a mapping, of a list of mappings, or of texts ``K=V``."""
    if isinstance(given, Map):
        return list(given.items())
    pairs: list[tuple[str, Any]] = []
    for each in given if isinstance(given, Seq) else ():
        if isinstance(each, Map):
            pairs.extend(each.items())
        elif "=" in text(each):
            key, _, value = text(each).partition("=")
            pairs.append((key, value))
    return pairs


def declaration(value: Any) -> dict[str, Any]:
    """Return the declaration of an input that a parameter with this value or declaration becomes."""
    if not isinstance(value, Map):
        return {"type": "string", "default": text(value)}
    kind = text(value.get("type") or "string")
    spec: dict[str, Any] = {"type": kind if kind in ("string", "integer", "number", "boolean") else "string"}
    if "enum" in value:
        spec = {"type": "choice", "options": list(value.sequence("enum"))}
    for theirs, ours in (
        ("default", "default"),
        ("minimum", "min"),
        ("maximum", "max"),
        ("pattern", "pattern"),
    ):
        if theirs in value:
            spec[ours] = value[theirs]
    if value.get("required") is False and "default" not in spec:
        spec["required"] = False
    if "description" in value:
        spec["description"] = text(value["description"])
    return spec


def retry(policy: Map) -> dict[str, Any]:
    """Return what a retry policy says of waits and exit codes."""
    found: dict[str, Any] = {}
    factor = policy.get("backoff")
    if isinstance(factor, (int, float)) and factor is not True and factor > 1:
        found |= {"backoff": "exponential", "multiplier": factor}
    else:
        found["backoff"] = "exponential" if factor is True else "fixed"
    interval, _ = first_of(policy, "intervalSec", "interval_sec")
    if isinstance(interval, (int, float)) and interval > 0:
        found["delay"] = duration(interval)
    longest, _ = first_of(policy, "maxIntervalSec", "max_interval_sec")
    if isinstance(longest, (int, float)) and longest > 0:
        found["max_delay"] = duration(longest)
    exits, _ = first_of(policy, "exitCode", "exitCodes", "exit_code")
    if exits is not None:
        codes = exits if isinstance(exits, Seq) else [exits]
        found["on_exit"] = [code for code in codes if isinstance(code, int)]
    return found
